package filemode_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/base/filemode"
)

// Modes as fsGroup sets them are accepted only if that was allowed, and only for a group of the
// process; access of other users is never accepted. One message names all files, and its
// command fixes them.
func TestModes(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, mode os.FileMode, group int) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if group >= 0 {
			if err := os.Chown(path, -1, group); err != nil {
				t.Fatalf("Chown (this test runs as root): %v", err)
			}
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own, strange := os.Getegid(), 54321
	closed := file("closed", 0o600, own)
	grouped := file("grouped", 0o660, own)
	foreign := file("for eign", 0o640, strange)
	world := file("world", 0o604, own)
	all := []string{closed, grouped, foreign, world, filepath.Join(dir, "missing")}
	for allow, want := range map[string][]string{"": {grouped, foreign, world}, "0": {grouped, foreign, world}, "1": {foreign, world}} {
		t.Setenv(filemode.Variable, allow)
		if got := filemode.Loose(all...); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("Loose with %q: got %q, want %q", allow, got, want)
		}
	}
	t.Setenv(filemode.Variable, "")
	if err := filemode.Refuse(grouped); err == nil || !strings.Contains(err.Error(), "--allow-group") {
		t.Errorf("Refuse of what a group may open: got %v, want the other way named", err)
	}
	err := filemode.Refuse(all...)
	if err == nil || strings.Contains(err.Error(), "--allow-group") {
		t.Fatalf("Refuse: got %v, want an error without a way that would not do", err)
	}
	_, fix, _ := strings.Cut(err.Error(), "run '")
	fix = strings.TrimSuffix(fix, "'")
	if out, err := exec.Command("sh", "-c", fix).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", fix, err, out)
	}
	if err := filemode.Refuse(all...); err != nil {
		t.Errorf("after %s: %v", fix, err)
	}
}
