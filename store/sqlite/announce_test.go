package sqlite_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// unannounced is what can happen between the moment when a change is let in and the
// moment when others are to be told of it, so that they cannot be.
var unannounced = map[string]func(t testing.TB, path string){
	"the epoch cannot be moved": func(t testing.TB, path string) {
		remove(t, path+"-epoch")
		mkdir(t, path+"-epoch")
	},
	"the database was replaced": func(t testing.TB, path string) {
		if err := sqlite.Create(path+"-new", &sqlite.Options{PepperFile: path + ".pepper", SameStore: true}); err != nil {
			t.Errorf("Create: %v", err)
		}
		mustRename(t, path, path+"-gone")
		mustRename(t, path+"-new", path)
	},
}

// isWritten reports whether err says that a change was committed, and nothing else.
func isWritten(err error) bool {
	var written *keys.WrittenError
	return errors.As(err, &written) && strings.Contains(err.Error(), "written and durable") &&
		!errors.Is(err, keys.ErrConflict) && !errors.Is(err, keys.ErrUnavailable) && !errors.Is(err, keys.ErrNotFound)
}

// TestA19GroupThatCannotBeAnnounced: whoever hears that a key is revoked relies on it
// that every other process knows. Where these could not be told, none of a group may
// hear of a success, not even who had nothing to change: that is how a revoke is
// repeated whose process died. A refusal stays what it is.
func TestA19GroupThatCannotBeAnnounced(t *testing.T) {
	for how, spoil := range unannounced {
		t.Run(how, func(t *testing.T) {
			c := newCrowd(t)
			revoked := issue(t, c, keys.IssueRequest{Name: "revoked"}).Key.ID
			mustRevoke(t, c, revoked)
			issues, err1 := c.issues("one")
			refused, err2 := c.issues("victim")
			var err3, err4 error
			revokes := func() { _, err3 = c.m.Revoke(t.Context(), c.victim, "test") }
			repeats := func() { _, err4 = c.m.Revoke(t.Context(), revoked, "test") }
			c.commits.Store(0)
			c.driver(func(d *sqlite3.SQLiteConn) {
				d.RegisterCommitHook(func() int { c.commits.Add(1); spoil(t, c.path); return 0 })
			})
			c.at(issues, refused, revokes, repeats)
			for what, err := range map[string]error{
				"Issue": *err1, "Revoke": err3, "Revoke again": err4,
			} {
				if !isWritten(err) {
					t.Errorf("%s: got %v, want a WrittenError, as nobody was told", what, err)
				}
			}
			if !errors.Is(*err2, keys.ErrNameTaken) {
				t.Errorf("Issue with a taken name: got %v, want that", *err2)
			}
			if got := c.commits.Load(); got != 1 {
				t.Errorf("got %d commits, want one, or this test shows nothing", got)
			}
		})
	}
}

// TestA19ChangeThatCannotBeAnnounced is the same for a change without company, which
// is spoilt when it is committed.
func TestA19ChangeThatCannotBeAnnounced(t *testing.T) {
	for how, spoil := range unannounced {
		t.Run(how, func(t *testing.T) {
			c := newCrowd(t)
			c.driver(func(d *sqlite3.SQLiteConn) {
				d.RegisterCommitHook(func() int { c.commits.Add(1); spoil(t, c.path); return 0 })
			})
			if _, err := c.m.Revoke(t.Context(), c.victim, "test"); !isWritten(err) {
				t.Errorf("Revoke: got %v, want a WrittenError, as nobody was told", err)
			}
			if got := c.commits.Load(); got != 1 {
				t.Errorf("got %d commits, want one, or this test shows nothing", got)
			}
		})
	}
}

// TestA17GroupHearsNothingBeforeItIsAnnounced: a copy took the place of the epoch's file,
// so that to tell the others takes a lease. Who of the group heard of a success before
// that would rely on it while a server still lets the key pass.
func TestA17GroupHearsNothingBeforeItIsAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t)
		var start time.Time
		var callers []func()
		var took [5]time.Duration
		for i := range took {
			call, err := c.issues(string(rune('a' + i)))
			callers = append(callers, func() {
				call()
				took[i] = time.Since(start)
				if *err != nil {
					t.Errorf("Issue: %v", *err)
				}
			})
		}
		c.hold(func() { replaceByCopy(t, c.path+"-epoch"); start = time.Now() }, callers...)
		for i, after := range took {
			if after < keys.Lease {
				t.Errorf("caller %d: heard of its success after %v, want %v at least", i, after, keys.Lease)
			}
		}
	})
}
