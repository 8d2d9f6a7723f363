package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// copyStore copies the directory of a key store, as "cp -a" does, and returns the path of
// the database there.
func copyStore(t *testing.T, path string) string {
	t.Helper()
	dir := filepath.Dir(path) + "-copy"
	run(t, "cp", "-a", filepath.Dir(path), dir)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, filepath.Base(path))
}

// closedStore is a key store with one key that no process has open.
func closedStore(t *testing.T) (path, id string) {
	t.Helper()
	path = create(t)
	s := open(t, path)
	id = issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path, id
}

// inStore opens the store, does something, and closes it again.
func inStore(t *testing.T, path string, do func(s *sqlite.Store)) {
	t.Helper()
	s := open(t, path)
	do(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A key store is copied, and keys are issued in the copy. A key is revoked in the original,
// and then the copy's database, which is further, is copied over that of the original. The
// revoked key must not be good there. Nothing can be changed in a copy as long as it has
// the original's id.
func TestCopyThatWentFurtherIsCopiedBack(t *testing.T) {
	t.Parallel()
	for how, over := range map[string]struct {
		suffixes []string
		reason   string
	}{
		"the database":       {[]string{""}, "belongs to another key store"},
		"and its epoch file": {[]string{"", "-epoch"}, "is a copy"},
	} {
		t.Run(how, func(t *testing.T) {
			one, id := closedStore(t)
			two := copyStore(t, one)
			refusesAll(t, two, id, "doctor --fix")
			inStore(t, two, func(s *sqlite.Store) {
				if page, err := s.List(t.Context(), keys.Query{}); err != nil || len(page.Keys) != 1 {
					t.Errorf("List in the copy: got %v, %v, want the key", page, err)
				}
			})
			mustMend(t, two)
			inStore(t, two, func(s *sqlite.Store) {
				for _, name := range []string{"a", "b", "c"} {
					issue(t, s, admin.IssueRequest{Name: name})
				}
			})
			mustExec(t, shell(t, two), `PRAGMA wal_checkpoint(TRUNCATE)`)
			inStore(t, one, func(s *sqlite.Store) { mustRevoke(t, s, id) })
			for _, suffix := range over.suffixes {
				write(t, one+suffix, string(read(t, two+suffix)))
			}
			remove(t, one+"-wal")
			remove(t, one+"-shm")
			refusesAll(t, one, id, over.reason)
			if _, err := sqlite.CheckPosition(t.Context(), one); err == nil {
				t.Error("CheckPosition: got no error, want it refused")
			}
		})
	}
}

// A copy lacks what was only in the log of the original. Doctor tells how much, though the
// copy is refused in any case.
func TestCopyWithoutItsLog(t *testing.T) {
	path := create(t)
	s := open(t, path)
	issue(t, s, admin.IssueRequest{Name: "ci"})
	two := copyStore(t, path)
	remove(t, two+"-wal")
	remove(t, two+"-shm")
	if missing, err := sqlite.CheckPosition(t.Context(), two); missing == 0 || err == nil {
		t.Errorf("CheckPosition: got %d, %v, want what is missing", missing, err)
	}
}

// A key store is moved with its directory, on one disk: it is not a copy, and nothing waits.
func TestMovedWithItsDirectory(t *testing.T) {
	path, id := closedStore(t)
	moved := filepath.Dir(path) + "-moved"
	mustRename(t, filepath.Dir(path), moved)
	t.Cleanup(func() { _ = os.RemoveAll(moved) })
	path = filepath.Join(moved, "keys.db")
	mustChanges(t, openVerifier(t, path), feed.Position{})
	mustRevoke(t, open(t, path), id)
}

// A backup is restored over a copy, which makes it a key store of its own as well.
func TestRestoreOverACopy(t *testing.T) {
	t.Parallel()
	path, id := closedStore(t)
	two := copyStore(t, path)
	backup := filepath.Join(t.TempDir(), "backup.db")
	inStore(t, path, func(s *sqlite.Store) {
		if _, err := s.Backup(t.Context(), backup, nil); err != nil {
			t.Fatal(err)
		}
	})
	r, err := sqlite.PrepareRestore(t.Context(), two, backup, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := r.Run(t.Context(), sqlite.RestoreOptions{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	mustRevoke(t, open(t, two), id)
	if _, err := sqlite.CheckPosition(t.Context(), path); err != nil {
		t.Errorf("CheckPosition of the original: %v", err)
	}
}

// What a copied page says is a MisplacedError: a guard that remembers a key refuses it.
func TestCopiedPageIsMisplaced(t *testing.T) {
	t.Parallel()
	path, _ := closedStore(t)
	r := openVerifier(t, path)
	next := mustChanges(t, r, feed.Position{}).Next
	replaceByCopy(t, path+"-epoch")
	_, err := r.Changes(t.Context(), next)
	var misplaced *feed.MisplacedError
	if !errors.As(err, &misplaced) || !strings.Contains(err.Error(), "doctor --fix") {
		t.Errorf("Changes: got %v, want a MisplacedError that says what to do", err)
	}
	if mended, err := sqlite.Mend(t.Context(), path, nil, "test", time.Now()); !mended || err != nil {
		t.Fatalf("Mend: %v, %v", mended, err)
	}
	mustChanges(t, r, next)
}

// The original is gone, and a copy of its epoch file has got its inode number.
func TestCopyWithTheOriginalsInode(t *testing.T) {
	t.Parallel()
	path, id := closedStore(t)
	const born = 80
	text := read(t, path+"-epoch")
	text[born]++
	write(t, path+"-epoch", string(text))
	refusesAll(t, path, id, "is a copy")
	mustMend(t, path)
	mustRevoke(t, open(t, path), id)
}
