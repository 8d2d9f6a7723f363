package sqlite_test

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// What can happen between the moment when a change is let in and the moment when others
// are to be told of it, so that they cannot be. After losing the change is in files that
// no other process has open or will open.
var (
	untelling = map[string]func(t testing.TB, path string){
		"the epoch cannot be moved": func(t testing.TB, path string) {
			remove(t, path+"-epoch")
			mkdir(t, path+"-epoch")
		},
	}
	losing = map[string]func(t testing.TB, path string){
		"the database was replaced": func(t testing.TB, path string) {
			if err := sqlite.Create(path+"-new", &sqlite.Options{PepperFile: path + ".pepper", SameStore: true}); err != nil {
				t.Errorf("Create: %v", err)
			}
			mustRename(t, path, path+"-gone")
			mustRename(t, path+"-new", path)
		},
		"its log was removed": func(t testing.TB, path string) {
			remove(t, path+"-wal")
			remove(t, path+"-shm")
		},
		"the database was removed": func(t testing.TB, path string) { remove(t, path) },
		"it is behind its page": func(t testing.TB, path string) {
			patchEpoch(t, path, 24, func(word uint64) uint64 { return word + 100 })
		},
		"its page is of another store": func(t testing.TB, path string) {
			patchEpoch(t, path, 72, func(word uint64) uint64 { return ^word })
		},
	}
)

// patchEpoch changes one word of the epoch page, in the memory of every process.
func patchEpoch(t testing.TB, path string, at int64, change func(uint64) uint64) {
	t.Helper()
	f, err := os.OpenFile(path+"-epoch", os.O_RDWR, 0)
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	defer func() { _ = f.Close() }() // an error shows in the test
	word := make([]byte, 8)
	if _, err := f.ReadAt(word, at); err != nil {
		t.Errorf("%v", err)
	}
	binary.NativeEndian.PutUint64(word, change(binary.NativeEndian.Uint64(word)))
	if _, err := f.WriteAt(word, at); err != nil {
		t.Errorf("%v", err)
	}
}

// unannounced is both.
func unannounced() map[string]func(t testing.TB, path string) {
	all := maps.Clone(untelling)
	maps.Copy(all, losing)
	return all
}

// isMayBeLost reports whether err says that a change may be lost, and nothing else.
func isMayBeLost(err error) bool {
	var lost *store.MayBeLostError
	return errors.As(err, &lost) && strings.Contains(err.Error(), "repeat it if not") &&
		!strings.Contains(err.Error(), "durable") &&
		!errors.Is(err, keys.ErrConflict) && !errors.Is(err, keys.ErrUnavailable) && !errors.Is(err, keys.ErrNotFound)
}

// isWritten reports whether err says that a change was committed, and nothing else.
func isWritten(err error) bool {
	var written *store.WrittenError
	return errors.As(err, &written) && strings.Contains(err.Error(), "written and durable") &&
		!errors.Is(err, keys.ErrConflict) && !errors.Is(err, keys.ErrUnavailable) && !errors.Is(err, keys.ErrNotFound)
}

// TestA19ChangeThatCannotBeAnnounced: a successful revoke means that every other process knows
// it. If they could not be told, no call may report success, not even one with nothing to
// change: it may repeat a revoke whose process was killed. A refusal stays the same.
func TestA19ChangeThatCannotBeAnnounced(t *testing.T) {
	revokeUnheard(t, untelling, isWritten)
}

// TestChangeThatMayBeLost: what was committed to files that others do not have is neither
// durable nor found by any server, and the caller must not hear that it is.
func TestChangeThatMayBeLost(t *testing.T) {
	revokeUnheard(t, losing, isMayBeLost)
}

// revokeUnheard revokes a key while the files are spoilt in each way behind the commit: the
// error must be as told, and the same revoke must not succeed when it is repeated.
func revokeUnheard(t *testing.T, ways map[string]func(t testing.TB, path string), told func(error) bool) {
	for how, spoil := range ways {
		t.Run(how, func(t *testing.T) {
			path := create(t)
			s := open(t, path)
			m := manager(t, s)
			victim := issue(t, s, admin.IssueRequest{Name: "victim"}).Key.ID
			commits := 0
			onCommit(t, s, func() { commits++; spoil(t, path) })
			if _, err := m.Revoke(t.Context(), victim, "test"); !told(err) {
				t.Errorf("Revoke: got %v, which is another error", err)
			}
			if _, err := m.Revoke(t.Context(), victim, "test"); !errors.Is(err, keys.ErrUnavailable) {
				t.Errorf("Revoke again: got %v, want unavailable", err)
			}
			if commits != 1 {
				t.Errorf("got %d commits, want one, or this test shows nothing", commits)
			}
		})
	}
}

// TestA17NothingIsHeardBeforeItIsAnnounced: the epoch's file took the place of another one
// a moment ago, so that to tell the others takes a lease. Who heard of a success before that would rely on
// it while a server still lets the key pass.
func TestA17NothingIsHeardBeforeItIsAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := create(t)
		s := open(t, path)
		id := issue(t, s, admin.IssueRequest{Name: "victim"}).Key.ID
		unsettle(t, path)
		began := time.Now()
		mustRevoke(t, s, id)
		if took := time.Since(began); took < s.Bounds().Lease {
			t.Errorf("Revoke returned after %v, want %v at least", took, s.Bounds().Lease)
		}
	})
}

// unsettle has the page say that its file took the place of another one just now.
func unsettle(t testing.TB, path string) {
	t.Helper()
	page := read(t, path+"-epoch")
	const settled = 8
	page[settled] = 0
	overwrite(t, path+"-epoch", page)
}

// onCommit calls do within each commit of s.
func onCommit(t testing.TB, s *sqlite.Store, do func()) {
	t.Helper()
	conn, err := s.Writer().Conn(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // it goes back to the pool
	err = conn.Raw(func(d any) error {
		sqlite.Driven(d).RegisterCommitHook(func() int { do(); return 0 })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
