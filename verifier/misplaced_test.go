package verifier_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// misplacements are what makes the store that a guard has open another one than that which
// a program finds that is started afterwards. None of them moves the guard's epoch. Each
// returns the path by which that program opens the store.
var misplacements = []struct {
	name string
	do   func(t *testing.T, dir, link string) (path string)
}{
	{"a link is turned to a copy that is a key store of its own", func(t *testing.T, dir, link string) string {
		other := dir + "2"
		must(t, exec.Command("cp", "-a", dir, other).Run())
		_, err := sqlite.Mend(t.Context(), filepath.Join(other, "keys.db"), nil, "test", time.Now())
		must(t, errors.Join(err, os.Remove(link), os.Symlink(other, link)))
		return filepath.Join(link, "keys.db")
	}},
	{"the directory is renamed", func(t *testing.T, dir, _ string) string {
		must(t, os.Rename(dir, dir+"2"))
		return ""
	}},
	{"the shared memory is removed", func(t *testing.T, dir, _ string) string {
		must(t, os.Remove(filepath.Join(dir, "keys.db-shm")))
		return ""
	}},
	{"the log is replaced by a copy", func(t *testing.T, dir, _ string) string {
		name := filepath.Join(dir, "keys.db-wal")
		text, err := os.ReadFile(name)
		must(t, errors.Join(err, os.WriteFile(name+".copy", text, 0o600), os.Rename(name+".copy", name)))
		return ""
	}},
	{"the database gets a second name", func(t *testing.T, dir, _ string) string {
		must(t, os.Link(filepath.Join(dir, "keys.db"), filepath.Join(dir, "other.db")))
		return ""
	}},
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestLeaseEndsWhereOthersUseAnotherStore: a guard whose store is not the one that others
// find makes a look within its lease. The request that made the look is refused, as are
// later ones: a revocation was acknowledged that does not reach this guard.
func TestLeaseEndsWhereOthersUseAnotherStore(t *testing.T) {
	for _, c := range misplacements {
		t.Run(c.name, func(t *testing.T) {
			top := t.TempDir()
			dir, link := filepath.Join(top, "v1"), filepath.Join(top, "data")
			must(t, errors.Join(os.Mkdir(dir, 0o700), os.Symlink(dir, link)))
			b := newBenchAt(t, filepath.Join(link, "keys.db"))
			id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
			_, other := b.issue(t, admin.IssueRequest{Name: "other"})
			b.want(t, token, verifier.Call{}, keys.CodeValid)
			b.want(t, other, verifier.Call{}, keys.CodeValid)

			if path := c.do(t, dir, link); path != "" {
				s, err := sqlite.Open(path, nil)
				must(t, err)
				defer func() { _ = s.Close() }()
				m, err := admin.NewLocal(s, "test", nil)
				must(t, err)
				_, err = m.Revoke(t.Context(), id, "leaked")
				must(t, err)
			}
			b.now = b.now.Add(1670 * time.Millisecond)
			var misplaced *feed.MisplacedError
			if d := b.want(t, token, verifier.Call{}, keys.CodeUnavailable); !errors.As(d.Cause, &misplaced) {
				t.Errorf("Authenticate: got cause %v, want a MisplacedError", d.Cause)
			}
			b.want(t, token, verifier.Call{}, keys.CodeUnavailable)
			b.want(t, other, verifier.Call{}, keys.CodeUnavailable)
		})
	}
}

// TestNothingIsRememberedOverAnEndOfTheLease: a look finds that others use another store. What
// comes back later may be in an older state, with other changes under the numbers that were
// read, so the guard asks for each key again, and says so to who holds something open: also
// what was read in between is not known to be so still.
func TestNothingIsRememberedOverAnEndOfTheLease(t *testing.T) {
	b := newBench(t)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	id := token[len("mcpk_") : len("mcpk_")+12]
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	read := b.reader.reads.Load()
	told := make(chan struct{}, 1000)
	defer b.v.OnChange(id, func() { told <- struct{}{} })()

	b.reader.moved.Store(true)
	b.later.Add(int64(300 * time.Millisecond))
	b.want(t, token, verifier.Call{}, keys.CodeUnavailable)
	<-told
	b.reader.moved.Store(false)
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	if n := b.reader.reads.Load() - read; n == 0 {
		t.Error("the guard answered by what it knew before")
	}
}
