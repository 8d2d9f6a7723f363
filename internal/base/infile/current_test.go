package infile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/infile"
)

func TestCurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	errEmpty := errors.New("empty")
	file := infile.NewCurrent(path, 5, func(text []byte) (string, error) {
		if len(text) == 0 {
			return "", errEmpty
		}
		return string(text), nil
	})
	want := func(what, value string, had bool, failed bool) {
		t.Helper()
		if got, ok, err := file.Get(); got != value || ok != had || (err != nil) != failed {
			t.Errorf("%s: got %q, %v, %v, want %q, %v", what, got, ok, err, value, had)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want("no file", "", false, true)
	write("one")
	want("a file", "one", true, false)
	write("two") // of the same size, and perhaps of the same time
	want("another text", "two", true, false)
	write("")
	want("an empty file", "two", true, true)
	write("too long")
	want("a long file", "too l", true, false)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	want("the file is gone", "too l", true, true)

	write("old")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	want("an old file", "old", true, false)
	reads := 0
	counted := infile.NewCurrent(path, 5, func([]byte) (int, error) { reads++; return reads, nil })
	for range 3 {
		if got, _, err := counted.Get(); got != 1 || err != nil {
			t.Errorf("an old file, again: got %d reads, %v, want 1", got, err)
		}
	}
}
