package newfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/base/newfile"
)

// A process that published with link and unlink was killed between the two. The file keeps only
// its final name, and a name that another program gave it.
func TestFinishPublication(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys.db")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	left, foreign, other := filepath.Join(dir, ".mcpkeys-db-1.tmp"), filepath.Join(dir, "other.db"), filepath.Join(dir, ".mcpkeys-db-2.tmp")
	for _, name := range []string{left, foreign} {
		if err := os.Link(path, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newfile.Finish(path); err != nil {
		t.Fatalf("Finish: %v", err)
	}
	for name, want := range map[string]bool{left: false, foreign: true, other: true, path: true} {
		if _, err := os.Lstat(name); (err == nil) != want {
			t.Errorf("%s: got %v, want it there: %v", filepath.Base(name), err, want)
		}
	}
}
