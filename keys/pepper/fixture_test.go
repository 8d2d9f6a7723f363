package pepper_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)

// vectorPepper is the pepper that testdata/vectors.txt was made with: bytes 00..1f.
func vectorPepper(tb testing.TB) *pepper.Set {
	tb.Helper()
	root := make([]byte, 32)
	for i := range root {
		root[i] = byte(i)
	}
	p, err := pepper.Parse(fmt.Appendf(nil, "v1 current %x\n", root))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}
