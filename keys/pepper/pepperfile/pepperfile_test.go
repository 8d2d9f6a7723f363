package pepperfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
)

func TestCreateAndLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys.db.pepper")
	made, err := pepperfile.Create(path)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	loaded, err := pepperfile.Load(path)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if d := cmp.Diff(made.Checks(), loaded.Checks()); d != "" {
		t.Errorf("other peppers were loaded (-made +loaded):\n%s", d)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("got mode %v, %v, want 0600", info.Mode(), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("got files %v, %v, want the pepper alone", entries, err)
	}
}

// The attack, or the accident: init is run again over a pepper in use, and no key can be
// verified any longer.
func TestCreateNeverReplaces(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a file":           func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) },
		"an empty file":    func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a directory":      func(path string) error { return os.Mkdir(path, 0o700) },
		"a link to no end": func(path string) error { return os.Symlink("nowhere", path) },
	} {
		path := filepath.Join(t.TempDir(), "pepper")
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(path)
		if _, err := pepperfile.Create(path); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create over %s: got %v, want ErrExist", name, err)
		}
		if after, _ := os.ReadFile(path); string(after) != string(before) {
			t.Errorf("Create over %s changed it", name)
		}
		if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
			t.Errorf("Create over %s left something behind: %v", name, entries)
		}
	}
}

func TestRacingCreatesMakeOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pepper")
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { _, errs[i] = pepperfile.Create(path) })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else if !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create: got %v, want ErrExist", err)
		}
	}
	if made != 1 {
		t.Errorf("%d of 8 made it, want 1", made)
	}
}

func TestCreateInMissingDirectory(t *testing.T) {
	_, err := pepperfile.Create(filepath.Join(t.TempDir(), "no", "pepper"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "make it first") {
		t.Errorf("Create: got %v, want ErrNotExist and what to do", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	const hex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	good := "p1 current " + hex + "\n"
	for _, c := range []struct {
		name string
		put  func(path string) error
		want string
	}{
		{"nothing", func(string) error { return nil }, "restore it from your backup"},
		{"readable by the group", file(good, 0o640), "chmod 600"},
		{"readable by all", file(good, 0o604), "chmod 600"},
		{"writable by all", file(good, 0o602), "chmod 600"},
		{"a directory", func(path string) error { return os.Mkdir(path, 0o700) }, "not a regular file"},
		{"a pipe, which would never end", func(path string) error { return syscall.Mkfifo(path, 0o600) }, "not a regular file"},
		{"a link to what all may read", func(path string) error {
			return errors.Join(file(good, 0o644)(path+".target"), os.Symlink(path+".target", path))
		}, "chmod 600"},
		{"empty", file("", 0o600), "no current pepper"},
		{"garbled", file("p1 current "+hex[:62]+"zz\n", 0o600), "line 1"},
		{"two current", file(good+strings.Replace(good, "p1", "p2", 1), 0o600), "line 2"},
		{"huge", file(strings.Repeat(good, 10_000), 0o600), "too big"},
	} {
		path := filepath.Join(t.TempDir(), "pepper")
		if err := c.put(path); err != nil {
			t.Fatal(err)
		}
		_, err := pepperfile.Load(path)
		if err == nil {
			t.Errorf("Load, %s: got no error", c.name)
			continue
		}
		if text := err.Error(); !strings.Contains(text, c.want) || !strings.Contains(text, path) {
			t.Errorf("Load, %s: got %q, want %q and the path in it", c.name, text, c.want)
		}
		for at := 0; at+4 <= len(hex); at += 4 {
			if strings.Contains(strings.ReplaceAll(err.Error(), path, ""), hex[at:at+4]) {
				t.Errorf("Load, %s: the error repeats the content", c.name)
			}
		}
		if c.name == "nothing" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Load, %s: got %v, want ErrNotExist", c.name, err)
		}
	}
}

// file writes text with exactly that mode, whatever the umask.
func file(text string, mode fs.FileMode) func(path string) error {
	return func(path string) error {
		return errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode))
	}
}
