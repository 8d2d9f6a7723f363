package infile_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/base/infile"
)

func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Files that never deliver or never end are refused or empty, and nothing blocks.
func TestWhatIsNoFileIsRefused(t *testing.T) {
	for _, path := range []string{"/dev/zero", "/dev/null", t.TempDir()} {
		if _, err := infile.Open(t.Context(), path); !errors.Is(err, infile.ErrKind) {
			t.Errorf("Open(%s): got %v, want %v", path, err, infile.ErrKind)
		}
		if _, err := infile.Regular(path); !errors.Is(err, infile.ErrNotRegular) {
			t.Errorf("Regular(%s): got %v, want %v", path, err, infile.ErrNotRegular)
		}
	}
	silent := fifo(t)
	if _, err := infile.Regular(silent); !errors.Is(err, infile.ErrNotRegular) {
		t.Errorf("Regular of a pipe: got %v, want %v", err, infile.ErrNotRegular)
	}
	in, err := infile.Open(t.Context(), silent)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(in); err != nil || len(text) > 0 {
		t.Errorf("a pipe without a writer: got %q, %v, want nothing", text, err)
	}
}

// A pipe is read while it delivers; after that, reads end with the context.
func TestReadingEndsWithTheContext(t *testing.T) {
	path := fifo(t)
	writer, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = writer.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	in, err := infile.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.WriteString("abc"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3)
	if _, err := io.ReadFull(in, got); err != nil || string(got) != "abc" {
		t.Fatalf("got %q, %v, want abc", got, err)
	}
	ended := make(chan error)
	go func() {
		_, err := in.Read(got)
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
