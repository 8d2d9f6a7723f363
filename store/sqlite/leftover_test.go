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

// refusesAll makes sure that nothing is accepted and nothing is changed, for the reason.
func refusesAll(t *testing.T, path, id, reason string) {
	t.Helper()
	r, err := sqlite.OpenVerifier(path, nil)
	if err == nil {
		_, err = r.Changes(t.Context(), feed.Position{})
		_ = r.Close()
	}
	if !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), reason) {
		t.Errorf("a guard: got %v, want unavailable and %q", err, reason)
	}
	s, err := sqlite.Open(path, nil)
	if err == nil {
		_, err = manager(t, s).Revoke(t.Context(), id, "x")
		_ = s.Close()
	}
	if !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), reason) {
		t.Errorf("a change: got %v, want unavailable and %q", err, reason)
	}
}

// twoClosedStores are one key store that was made twice, with one id. No process has the
// files open, and each has a key and changes that are only in its log.
func twoClosedStores(t *testing.T) (one, two string, id string) {
	t.Helper()
	one = create(t)
	two = filepath.Join(t.TempDir(), "keys.db")
	write(t, two+".pepper", string(read(t, one+".pepper")))
	if err := sqlite.Create(two, &sqlite.Options{SameStore: true}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{one, two} {
		o := start(t, "admin", path)
		if got := o.ask("issue ci"); got != "done" {
			t.Fatal(got)
		}
		_ = o.cmd.Process.Kill() // so that the log is not moved into the database
		o.end()
	}
	r := openVerifier(t, one)
	page, err := r.List(t.Context(), keys.Query{})
	if err != nil || len(page.Keys) != 1 {
		t.Fatal(page, err)
	}
	_ = r.Close()
	return one, two, page.Keys[0].ID
}

// A file of another store lies beside a database that is opened. SQLite would take it for
// the database's own.
func TestFilesOfAnotherStore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ suffix, reason string }{
		{"-wal", "belongs to another key store"},
		{"-epoch", "belongs to another key store"},
		{"-journal", "move it away"},
	} {
		t.Run(c.suffix, func(t *testing.T) {
			one, two, id := twoClosedStores(t)
			text := "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7 a rollback journal"
			if c.suffix != "-journal" {
				text = string(read(t, two+c.suffix))
			}
			own, _ := os.ReadFile(one + c.suffix)
			before := string(read(t, one))
			write(t, one+c.suffix, text)
			refusesAll(t, one, id, c.reason)
			if string(read(t, one)) != before {
				t.Error("the database was written to")
			}
			if own != nil {
				write(t, one+c.suffix, string(own)) // into the same file: a copy of the page would be refused
			} else {
				remove(t, one+c.suffix)
			}
			mustRevoke(t, open(t, one), id)
		})
	}
}

// An older database was copied over the one in use, or its log was removed. What was
// acknowledged is missing, so nothing is accepted until a restore or Mend.
func TestOlderDatabase(t *testing.T) {
	for how, spoil := range map[string]func(t *testing.T, path, backup string){
		"copied over": func(t *testing.T, path, backup string) {
			write(t, path, string(read(t, backup)))
			remove(t, path+"-wal")
			remove(t, path+"-shm")
		},
		"log removed": func(t *testing.T, path, _ string) {
			remove(t, path+"-wal")
			remove(t, path+"-shm")
		},
	} {
		t.Run(how, func(t *testing.T) {
			path := create(t)
			backup := path + ".old"
			s := open(t, path)
			id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
			_ = s.Close()
			write(t, backup, string(read(t, path)))
			o := start(t, "admin", path)
			if got := o.ask("revoke " + id); got != "done" {
				t.Fatal(got)
			}
			_ = o.cmd.Process.Kill()
			o.end()
			spoil(t, path, backup)
			refusesAll(t, path, id, "knows 1 change that the database lacks")
			if missing, err := sqlite.CheckPosition(t.Context(), path); missing != 1 || err == nil {
				t.Errorf("CheckPosition: got %d, %v, want one missing", missing, err)
			}
			mustMend(t, path)
			mustRevoke(t, open(t, path), id)
		})
	}
}

// The log of a database in use is removed, and then it is looked over. No look makes a new
// log, which would hide that changes are missing, and let a revoke in that no program hears
// of that has the old one open.
func TestLookedOverWithoutItsLog(t *testing.T) {
	t.Parallel()
	path := create(t)
	s := open(t, path)
	id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
	mustExec(t, shell(t, path), `PRAGMA wal_checkpoint(TRUNCATE)`) // so that none is missing
	r := openVerifier(t, path)
	next := mustChanges(t, r, feed.Position{}).Next
	remove(t, path+"-wal")
	const reason = "-wal was removed"
	_, examined := sqlite.Examine(t.Context(), path)
	_, position := sqlite.CheckPosition(t.Context(), path)
	_, mended := sqlite.Mend(t.Context(), path, nil, "test", time.Now())
	for what, err := range map[string]error{
		"Examine": examined, "CheckPosition": position, "Mend": mended,
		"CheckSettings": sqlite.CheckSettings(t.Context(), path), "CheckPlace": sqlite.CheckPlace(path),
	} {
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: got %v, want %q", what, err, reason)
		}
	}
	if _, err := os.Lstat(path + "-wal"); err == nil {
		t.Error("a new log was made")
	}
	if got := once(t, path, "revoke "+id); !strings.Contains(got, reason) {
		t.Errorf("revoke: got %q, want %q", got, reason)
	}
	if _, err := r.Changes(t.Context(), next); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("Changes: got %v, want unavailable", err)
	}
}

// A process that publishes by link and unlink was killed in between. The next one that
// opens the store ends it, whichever of its files it was.
func TestPublicationBrokenOff(t *testing.T) {
	for suffix, temp := range map[string]string{"": ".mcpkeys-db-1.tmp", "-epoch": ".mcpkeys-epoch-1.tmp"} {
		t.Run("keys.db"+suffix, func(t *testing.T) {
			path, id := closedStore(t)
			left := filepath.Join(filepath.Dir(path), temp)
			if err := os.Link(path+suffix, left); err != nil {
				t.Fatal(err)
			}
			if err := sqlite.CheckPlace(path); err != nil {
				t.Errorf("CheckPlace: %v", err)
			}
			mustRevoke(t, open(t, path), id)
			mustChanges(t, openVerifier(t, path), feed.Position{})
			if _, err := os.Lstat(left); err == nil {
				t.Error("the temporary name is still there")
			}
		})
	}
}

// The same for the file that a restore keeps, and for that of a migration: they are opened
// like a key store of their own.
func TestPublicationOfAKeptFileBrokenOff(t *testing.T) {
	path, _ := closedStore(t)
	kept := path + ".before-restore-20260101T000000.000Z"
	mustRename(t, path, kept)
	left := filepath.Join(filepath.Dir(path), ".mcpkeys-copy-1.tmp")
	if err := os.Link(kept, left); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Examine(t.Context(), kept); err != nil {
		t.Errorf("Examine: %v", err)
	}
	if _, err := os.Lstat(left); err == nil {
		t.Error("the temporary name is still there")
	}
}

// A program that has the store open lost its -shm, another one revokes and ends, and then
// the first one ends without a change. Its close must not take the revocation back.
func TestCloseAfterSharedMemoryWasRemoved(t *testing.T) {
	t.Parallel()
	path := create(t)
	s := open(t, path)
	id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
	r := openVerifier(t, path)
	remove(t, path+"-shm")
	if got := once(t, path, "revoke "+id); got != "done" {
		t.Fatal(got)
	}
	if err := errors.Join(s.Close(), r.Close()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if got := once(t, path, "issue after"); got != "done" {
		t.Fatal(got)
	}
	if got := once(t, path, "status "+id); got != "refused: revoked" {
		t.Errorf("the key: got %q, want it revoked", got)
	}
}

// The same where the pool gives up a connection whose files others do not have open any
// more.
func TestConnectionGivenUp(t *testing.T) {
	t.Parallel()
	path, id := closedStore(t)
	db, err := sqlite.OpenWatchedAt(path)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRow(`SELECT count(*) FROM keys`).Scan(&n); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	remove(t, path+"-shm")
	if got := once(t, path, "revoke "+id); got != "done" {
		t.Fatal(got)
	}
	if err := db.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if got := once(t, path, "status "+id); got != "refused: revoked" {
		t.Errorf("the key: got %q, want it revoked", got)
	}
}

// The files are replaced while SQLite opens them, so that it may have the old ones open. Such
// a connection is not used, and not closed.
func TestConnectedToFilesThatWereReplaced(t *testing.T) {
	for _, suffix := range []string{"-shm", "-wal", ""} {
		t.Run("keys.db"+suffix, func(t *testing.T) {
			path, _ := closedStore(t)
			err := sqlite.ConnectWhile(t.Context(), path, func() { replaceByCopy(t, path+suffix) })
			if !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "was replaced while it was in use") {
				t.Errorf("Connect: got %v, want it refused", err)
			}
		})
	}
}

// The database and its epoch page are both put back to what they were, as a restored
// snapshot of a disk does under a program that is running. A guard that knows of a later
// change accepts nothing from it.
func TestPutBackTogetherWithItsPage(t *testing.T) {
	path := create(t)
	s := open(t, path)
	id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
	r := openVerifier(t, path)
	db := shell(t, path)
	mustExec(t, db, `CREATE TEMP TABLE was AS SELECT * FROM keys`)
	page := read(t, path+"-epoch")
	mustRevoke(t, s, id)
	next := mustChanges(t, r, feed.Position{}).Next
	mustExec(t, db, `DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)`)
	mustExec(t, db, `UPDATE keys SET revoked_at = NULL, revoked_reason = '', version = (SELECT version FROM was), seal = (SELECT seal FROM was)`)
	mustExec(t, db, `DELETE FROM events WHERE seq > (SELECT value - 2 FROM meta WHERE name = 'change_seq')`)
	mustExec(t, db, `UPDATE meta SET value = value - 2 WHERE name = 'change_seq'`)
	overwrite(t, path+"-epoch", page)
	if _, err := r.Changes(t.Context(), next); !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "that this program has read") {
		t.Errorf("Changes: got %v, want it refused", err)
	}
	if _, err := manager(t, s).Issue(t.Context(), admin.IssueRequest{Name: "new"}); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("Issue: got %v, want it refused", err)
	}
	mustChanges(t, openVerifier(t, path), feed.Position{}) // who opens it now cannot know
}

// Another key store under the same pepper was copied over this one. To mend it would make
// keys good here that belong there.
func TestMendRefusesAnotherStore(t *testing.T) {
	path, other := twoStores(t)
	before := string(read(t, other))
	write(t, path, before)
	mended, err := sqlite.Mend(t.Context(), path, nil, "test", time.Now())
	if mended || err == nil || !strings.Contains(err.Error(), "for another key store") {
		t.Errorf("Mend: got %v, %v, want it refused because of the pepper file", mended, err)
	}
	if string(read(t, path)) != before {
		t.Error("the database was written to")
	}
	if _, err := sqlite.CheckPosition(t.Context(), path); err == nil {
		t.Error("CheckPosition: got no error, want it refused as before")
	}
}
