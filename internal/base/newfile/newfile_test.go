package newfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/base/newfile"
)

func TestPublish(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "final")
	for i, want := range []error{nil, fs.ErrExist} {
		f, err := newfile.Temp(dir, "part-*")
		if err != nil {
			t.Fatalf("Temp: %v", err)
		}
		_, werr := f.WriteString([]string{"first", "second"}[i])
		if err := errors.Join(werr, f.Close()); err != nil {
			t.Fatal(err)
		}
		if err := newfile.Publish(f.Name(), path); !errors.Is(err, want) {
			t.Errorf("Publish %d: got %v, want %v", i, err, want)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != "first" {
		t.Errorf("got %q, %v, want what was there first", text, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v, want the one file", entries, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("got mode %v, %v, want 0600", info.Mode(), err)
	}
}
