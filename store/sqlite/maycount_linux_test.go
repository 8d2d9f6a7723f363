package sqlite_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// The fault: a guard on a read-only mount counted nothing and said nothing, so that keys
// in use were listed as unused. It refuses to start, unless the key store says that use
// is not known; then no key is unused.
func TestGuardThatCannotCount(t *testing.T) {
	path := create(t)
	s := open(t, path)
	r, err := sqlite.OpenVerifier(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if err := r.MayCount(); err != nil {
		t.Fatalf("MayCount: %v", err)
	}
	usage := path + ".usage"
	if err := syscall.Mount(usage, usage, "", syscall.MS_BIND, ""); err != nil {
		t.Fatalf("bind mount (this test runs as root): %v", err)
	}
	defer func() { _ = syscall.Unmount(usage, syscall.MNT_DETACH) }()
	if err := syscall.Mount("", usage, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatalf("remount: %v", err)
	}
	_, err = verifier.New(local.New(r, nil), nil)
	if err == nil {
		t.Fatal("New on a usage file that cannot be written: accepted")
	}
	_, hint, _ := strings.Cut(err.Error(), "touch ")
	if err := os.WriteFile(hint, nil, 0o600); err != nil {
		t.Fatalf("the hint names no file: %v", err)
	}
	v, err := verifier.New(local.New(r, nil), nil)
	if err != nil {
		t.Fatalf("New where use is not known: %v", err)
	}
	_ = v.Close()
	if _, err := s.List(t.Context(), keys.Query{UnusedBy: time.Now()}); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("List of unused keys: got %v, want that it is not known", err)
	}
	if _, err := s.List(t.Context(), keys.Query{}); err != nil {
		t.Errorf("List: %v", err)
	}
}
