package sqlite_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

func TestCreateRefuses(t *testing.T) {
	path := create(t)
	before := snapshot(t, filepath.Dir(path))
	if err := sqlite.Create(path, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a key store: got %v, want ErrExist", err)
	}
	if after := snapshot(t, filepath.Dir(path)); !same(before, after) {
		t.Errorf("Create over a key store changed something")
	}

	remove(t, path+".pepper") // a lost pepper must not look like a wrong one afterwards
	if err := sqlite.Create(path, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a key store without pepper: got %v, want ErrExist", err)
	}
	if got := names(snapshot(t, filepath.Dir(path))); !slices.Equal(got, []string{"keys.db", "keys.db-epoch", "keys.db-lock", "keys.db.ballast", "keys.db.usage"}) {
		t.Errorf("Create over a key store without pepper left %v", got)
	}

	missing := filepath.Join(t.TempDir(), "no", "keys.db")
	if err := sqlite.Create(missing, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "make it first") {
		t.Errorf("Create in a missing directory: got %v", err)
	}
	if err := sqlite.Create("", nil); err == nil {
		t.Errorf("Create without a path: got no error")
	}

	bad := filepath.Join(t.TempDir(), "keys.db")
	write(t, bad+".pepper", "not a pepper")
	chmod(t, bad+".pepper", 0o600)
	if err := sqlite.Create(bad, nil); err == nil {
		t.Errorf("Create with a broken pepper: got no error")
	}
	if got := names(snapshot(t, filepath.Dir(bad))); !slices.Equal(got, []string{"keys.db.pepper"}) {
		t.Errorf("Create with a broken pepper left %v", got)
	}
}

// A pepper may be there before its database, from an attempt that failed half-way, or
// because it was made beforehand: it is used, not replaced, and belongs to the store from then
// on.
func TestCreateUsesThePepperThatIsThere(t *testing.T) {
	dir := t.TempDir()
	o := &sqlite.Options{PepperFile: filepath.Join(dir, "elsewhere")}
	if _, err := pepperfile.Create(o.PepperFile); err != nil {
		t.Fatal(err)
	}
	before, err := pepperfile.Load(o.PepperFile)
	if err != nil || !before.Store().IsZero() {
		t.Fatalf("Load: got peppers of store %s, %v, want of none", before.Store(), err)
	}
	path := filepath.Join(dir, "keys.db")
	if err := sqlite.Create(path, o); err != nil {
		t.Fatalf("Create: %v", err)
	}
	s, err := sqlite.Open(path, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	_ = s.Close()
	after := snapshot(t, dir)
	if got := names(after); !slices.Equal(got, []string{"elsewhere", "keys.db", "keys.db-epoch", "keys.db-lock", "keys.db-shm", "keys.db-wal", "keys.db.ballast", "keys.db.usage"}) || after["elsewhere"] != string(before.ForStore(s.Peppers().Store()).Encode()) || s.Peppers().Store().IsZero() {
		t.Errorf("got %v, want the pepper as it was but for the store's id, the database, its log, its epoch, its lock, its ballast and its usage", got)
	}
}

// An attempt that failed leaves the pepper to the next one: it said that the pepper belonged
// to another key store, which was never made.
func TestFailedCreateLeavesThePepper(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	write(t, path+"-epoch", "not an epoch")
	if err := sqlite.Create(path, nil); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Fatalf("Create beside a foreign epoch file: got %v, want it refused", err)
	}
	if got := names(snapshot(t, filepath.Dir(path))); !slices.Equal(got, []string{"keys.db-epoch"}) {
		t.Errorf("it left %v, want nothing made", got)
	}
	remove(t, path+"-epoch")
	if _, err := pepperfile.Create(path + ".pepper"); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.ClaimAndDisclaim(path + ".pepper"); err != nil {
		t.Fatalf("an attempt that fails later: %v", err)
	}
	if err := sqlite.Create(path, nil); err != nil {
		t.Fatalf("Create after two attempts that failed: %v", err)
	}
	open(t, path)
}

func TestRacingCreatesMakeOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { errs[i] = sqlite.Create(path, nil) })
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
		t.Errorf("%d of 4 made it, want 1", made)
	}
	open(t, path)
	if got := len(names(snapshot(t, filepath.Dir(path)))); got != 8 {
		t.Errorf("got %d files, want the database, -wal, -shm, the epoch, the lock, the ballast, the pepper and the usage file", got)
	}
}
