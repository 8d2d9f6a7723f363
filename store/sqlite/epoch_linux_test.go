package sqlite_test

import (
	"bytes"
	"os"
	"runtime"
	"testing"

	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// A program that opens and closes the store all the time keeps no file mapped.
func TestCloseUnmapsTheEpoch(t *testing.T) {
	const closed = 200
	path := create(t)
	for range closed {
		r, err := sqlite.OpenVerifier(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	const patience = 100 // of rounds; a mapping is released after the collection that found it unused
	left := 0
	for range patience {
		runtime.GC()
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		if left = bytes.Count(maps, []byte(path+"-epoch")); left == 0 {
			return
		}
	}
	t.Errorf("%d mappings are left of %d that were closed", left, closed)
}
