package sqlite_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// history is a key store, a backup of it, and what was done to it since.
type history struct {
	path, backup string
	store        *sqlite.Store
	keys         map[string]admin.Issued // by name
}

// newHistory issues a key for each name, makes the backup, and lets since go on from it.
func newHistory(t testing.TB, names ...string) *history {
	t.Helper()
	h := &history{path: create(t), keys: map[string]admin.Issued{}}
	h.store = open(t, h.path)
	for _, name := range names {
		h.issue(t, name)
	}
	h.backup = filepath.Join(t.TempDir(), "backup.db")
	backUp(t, h.store.Reader, h.backup)
	return h
}

func (h *history) issue(t testing.TB, name string) {
	t.Helper()
	h.keys[name] = issue(t, h.store, admin.IssueRequest{Name: name})
}

func (h *history) id(name string) string { return h.keys[name].Key.ID }

func (h *history) revoke(t testing.TB, name, reason string) {
	t.Helper()
	if _, err := manager(t, h.store).Revoke(t.Context(), h.id(name), reason); err != nil {
		t.Fatal(err)
	}
}

func (h *history) prepare(t testing.TB) *sqlite.Restoration {
	t.Helper()
	r, err := sqlite.PrepareRestore(t.Context(), h.path, h.backup, nil)
	if err != nil {
		t.Fatalf("PrepareRestore: %v", err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func (h *history) restore(t testing.TB, o sqlite.RestoreOptions) sqlite.Restored {
	t.Helper()
	r := h.prepare(t)
	o.Actor = "restorer"
	done, err := r.Run(t.Context(), o)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	_ = r.Close()
	if left := hidden(t, filepath.Dir(h.path)); len(left) != 0 {
		t.Errorf("left over: %q", left)
	}
	return done
}

func (h *history) status(t testing.TB, name string) keys.Status {
	t.Helper()
	k, err := manager(t, h.store).Key(t.Context(), h.id(name))
	if errors.Is(err, keys.ErrNotFound) {
		return "gone"
	}
	if err != nil {
		t.Fatalf("Key(%q): %v", name, err)
	}
	return k.Status(time.Now())
}

func labels(list []*keys.Key) []string {
	out := []string{}
	for _, k := range list {
		out = append(out, k.Label())
	}
	return out
}

// wholeChain reads the audit log and proves it.
func wholeChain(t testing.TB, r *sqlite.Reader) []audit.Event {
	t.Helper()
	events, err := r.Events(t.Context(), 0, 100_000)
	if err != nil {
		t.Fatalf("Events: %v", err)
	}
	_, err = audit.VerifyChain(func(yield func(audit.Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Errorf("VerifyChain: %v", err)
	}
	return events
}

// A restore brings back the backup's keys, in the file that all processes have open, and
// leaves revoked and disabled what was revoked and disabled since.
func TestRestore(t *testing.T) {
	h := newHistory(t, "stays", "leaked", "paused", "rotated", "edited")
	r := openVerifier(t, h.path)
	m := manager(t, h.store)
	h.issue(t, "new")
	h.revoke(t, "leaked", "laptop lost")
	h.revoke(t, "stays", "x")
	later := h.keys["stays"] // its name is free again, and another key has it
	h.keys["stays again"] = issue(t, h.store, admin.IssueRequest{Name: "stays"})
	if _, err := m.Disable(t.Context(), h.id("paused"), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Rotate(t.Context(), h.id("rotated"), admin.RotateRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Edit(t.Context(), h.id("edited"), admin.EditRequest{Owner: new("ops")}); err != nil {
		t.Fatal(err)
	}
	countUse(t, h.store, h.id("edited"))
	before := mustChanges(t, r, feed.Position{}).Next
	epoch := r.Epoch()

	p := h.prepare(t)
	for what, list := range map[string][2][]string{
		"revoked":  {labels(p.Undone.Revoked), {"leaked", "stays"}},
		"disabled": {labels(p.Undone.Disabled), {"paused"}},
		"issued":   {labels(p.Undone.Issued), {"new", "stays"}},
		"rotated":  {labels(p.Undone.Rotated), {"rotated"}},
		"edited":   {labels(p.Undone.Edited), {"ops/edited"}},
		"doubtful": {labels(p.Undone.Doubtful), {}},
	} {
		if !slices.Equal(list[0], list[1]) {
			t.Errorf("%s since: got %q, want %q", what, list[0], list[1])
		}
	}
	if u := p.Undone; !u.Related || u.Events != 7 || u.UsedDoubt != nil || len(u.Used) != 1 || u.Used[0].Key.Label() != "ops/edited" || p.Doubt != nil {
		t.Errorf("Undone: got %+v, %v, want seven changes and one key used", u, p.Doubt)
	}
	_ = p.Close()

	done := h.restore(t, sqlite.RestoreOptions{})
	if done.CutAgain != 3 {
		t.Errorf("Run: %d keys cut off again, want 3", done.CutAgain)
	}
	for name, want := range map[string]keys.Status{
		"leaked": "revoked", "stays": "revoked", "paused": "disabled", "rotated": "active", "edited": "active", "new": "gone", "stays again": "gone",
	} {
		if got := h.status(t, name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if k, err := r.Key(t.Context(), h.id("leaked")); err != nil || k.RevokedReason != "laptop lost" {
		t.Errorf("the reader that was open: got %v, %v, want the reason that was given", k, err)
	}

	events := wholeChain(t, h.store.Reader)
	e := events[5]
	if len(events) != 9 || e.Action != audit.ActionRestore || e.KeyID != "" || e.Actor != "restorer" || !strings.Contains(e.Detail, `"backup_row":5,`) || !strings.Contains(e.Detail, `"replaced_row":12`) {
		t.Errorf("the log: got %d rows and %+v behind the backup's, want 9 and the restore", len(events), e)
	}
	c := mustChanges(t, r, before)
	if !c.Lost || c.Next.Generation == before.Generation || c.Next.Seq <= before.Seq || r.Epoch() == epoch {
		t.Errorf("Changes since before the restore: got %+v, want Lost, another generation, a number above %d, and a moved epoch", c, before.Seq)
	}

	// A process that had it open continues with the restored one.
	h.issue(t, "after")
	if c := mustChanges(t, r, c.Next); c.Lost || len(c.IDs) != 1 {
		t.Errorf("Changes after the restore: got %+v, want the one key that was issued", c)
	}
	kept, err := sqlite.OpenVerifier(done.Kept, &sqlite.Options{PepperFile: h.path + ".pepper"})
	if err != nil {
		t.Fatalf("OpenVerifier of what was kept: %v", err)
	}
	defer func() { _ = kept.Close() }()
	if len(wholeChain(t, kept)) != 12 {
		t.Errorf("what was kept is not what was replaced")
	}
	if _, err := kept.Key(t.Context(), later.Key.ID); err != nil {
		t.Errorf("what was kept: %v", err)
	}
}

// Who says so gets the backup as it is.
func TestRestoreUndoesRevocations(t *testing.T) {
	h := newHistory(t, "leaked", "paused")
	h.revoke(t, "leaked", "by mistake")
	if _, err := manager(t, h.store).Disable(t.Context(), h.id("paused"), ""); err != nil {
		t.Fatal(err)
	}
	if done := h.restore(t, sqlite.RestoreOptions{UndoRevocations: true}); done.CutAgain != 0 {
		t.Errorf("Run: %d keys cut off again, want none", done.CutAgain)
	}
	for _, name := range []string{"leaked", "paused"} {
		if got := h.status(t, name); got != keys.StatusActive {
			t.Errorf("%s: got %s, want active", name, got)
		}
	}
	if e := wholeChain(t, h.store.Reader)[2]; !strings.Contains(e.Detail, `"revocations_undone":true`) {
		t.Errorf("the log: got %q, want it told", e.Detail)
	}
}

// TestA19RevokedWhileRestoring: a key is revoked after the restore has read the present key
// store. The acknowledged change is not lost: the restore starts again.
func TestA19RevokedWhileRestoring(t *testing.T) {
	h := newHistory(t, "early", "late")
	p := h.prepare(t)
	h.revoke(t, "early", "after PrepareRestore")
	asked := 0
	done, err := p.Run(t.Context(), sqlite.RestoreOptions{Actor: "restorer", Now: func() time.Time {
		if asked++; asked == 2 { // what is there has been copied
			h.revoke(t, "late", "in the middle of Run")
		}
		return time.Now()
	}})
	if err != nil || done.CutAgain != 2 {
		t.Fatalf("Run: got %+v, %v, want two keys cut off again", done, err)
	}
	for _, name := range []string{"early", "late"} {
		if got := h.status(t, name); got != keys.StatusRevoked {
			t.Errorf("%s: got %s, want revoked", name, got)
		}
	}
	if kept, _ := filepath.Glob(h.path + ".before-restore-*"); len(kept) != 1 || kept[0] != done.Kept {
		t.Errorf("kept: got %q, want %q alone", kept, done.Kept)
	}
}

// On a new machine there are the backup and the pepper, and nothing else.
func TestRestoreWhereNothingIs(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "ci")
	dir := t.TempDir()
	path := filepath.Join(dir, "keys.db")
	if _, err := sqlite.PrepareRestore(t.Context(), path, h.backup, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "pepper file") {
		t.Errorf("PrepareRestore without a pepper: got %v, want it named", err)
	}
	if _, err := pepperfile.Create(path + ".pepper"); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.PrepareRestore(t.Context(), path, h.backup, nil); err == nil || !strings.Contains(err.Error(), "lacks pepper p") {
		t.Errorf("PrepareRestore with another pepper: got %v, want the missing one named", err)
	}
	write(t, path+".pepper", string(read(t, h.path+".pepper")))
	h.revoke(t, "ci", "in a log that is of no database any more")
	write(t, path+"-wal", string(read(t, h.path+"-wal")))
	p, err := sqlite.PrepareRestore(t.Context(), path, h.backup, nil)
	if err != nil {
		t.Fatalf("PrepareRestore: %v", err)
	}
	done, err := p.Run(t.Context(), sqlite.RestoreOptions{Actor: "restorer"})
	if err != nil || done.Kept != "" || p.Present != nil || p.Doubt != nil {
		t.Errorf("Run: got %+v, %v, want nothing kept", done, err)
	}
	_ = p.Close()
	h.path, h.store = path, open(t, path)
	if got := h.status(t, "ci"); got != keys.StatusActive {
		t.Errorf("the key: got %s, want active", got)
	}
	h.issue(t, "after")
	_ = h.store.Close()
	if got := names(snapshot(t, dir)); !slices.Equal(got, []string{"keys.db", "keys.db-epoch", "keys.db-lock", "keys.db-shm", "keys.db-wal", "keys.db.ballast", "keys.db.pepper", "keys.db.usage"}) {
		t.Errorf("got files %q, want those of a key store", got)
	}
}

// A pepper that was added since the backup is in use by servers that run. The restored key
// store knows of it, so that its loss would be noticed.
func TestRestoreNotesPeppers(t *testing.T) {
	h := newHistory(t, "ci")
	write(t, h.path+".pepper", string(read(t, h.path+".pepper"))+"pAdded1 old "+strings.Repeat("1f", 32)+"\n")
	h.restore(t, sqlite.RestoreOptions{})
	var noted int
	if err := shell(t, h.path).QueryRow(`SELECT count(*) FROM meta WHERE name = 'pepper/pAdded1'`).Scan(&noted); err != nil || noted != 1 {
		t.Errorf("the added pepper: noted %d times, %v, want once", noted, err)
	}
}

// Each refusal says what to do, and leaves everything as it is.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, h *history)
		want  string
	}{
		{"no backup", func(t *testing.T, h *history) { remove(t, h.backup) }, "not found"},
		{"a directory", func(t *testing.T, h *history) { remove(t, h.backup); mkdir(t, h.backup) }, "not a regular file"},
		{"an empty file", func(t *testing.T, h *history) { write(t, h.backup, "") }, "not a backup of a key store"},
		{"a text", func(t *testing.T, h *history) { write(t, h.backup, strings.Repeat("hello ", 1000)) }, "not a database; name a file"},
		{"a backup that was cut off", func(t *testing.T, h *history) { truncate(t, h.backup, 40960) }, "damaged"},
		{"a newer backup", func(t *testing.T, h *history) { mustExec(t, shell(t, h.backup), `PRAGMA user_version = 99`) }, "newer mcpkeys"},
		{"a planted trigger", func(t *testing.T, h *history) {
			mustExec(t, shell(t, h.backup), `CREATE TRIGGER undo AFTER UPDATE ON keys BEGIN SELECT 1; END`)
		}, `"undo"`},
		{"a changed audit row", func(t *testing.T, h *history) {
			mustExec(t, shell(t, h.backup), `UPDATE audit SET actor = 'nobody' WHERE seq = 1`)
		}, "audit row 1 was changed"},
		{"an emptied audit log", func(t *testing.T, h *history) {
			mustExec(t, shell(t, h.backup), `DELETE FROM audit`)
		}, "it has no audit row"},
		{"a key without an audit row", func(t *testing.T, h *history) {
			mustExec(t, shell(t, h.backup), `DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)`)
		}, "use another backup"},
		{"a key that was removed", func(t *testing.T, h *history) {
			db := shell(t, h.backup)
			mustExec(t, db, `DELETE FROM secrets`)
			mustExec(t, db, `DELETE FROM keys`)
		}, "its row is missing"},
		{"a journal beside it", func(t *testing.T, h *history) { write(t, h.backup+"-journal", "junk") }, "backup.db-journal, which no backup has"},
		{"a directory beside it", func(t *testing.T, h *history) { mkdir(t, h.backup+"-wal") }, "backup.db-wal is a directory; move it away"},
		{"a directory as its journal", func(t *testing.T, h *history) { mkdir(t, h.backup+"-journal") }, "backup.db-journal is a directory; move it away"},
		{"a backup of other peppers", func(t *testing.T, h *history) {
			remove(t, h.path+".pepper")
			if _, err := pepperfile.Create(h.path + ".pepper"); err != nil {
				t.Fatal(err)
			}
		}, "lacks pepper"},
		{"itself", func(_ *testing.T, h *history) { h.backup = h.path }, "is the key store itself"},
		{"over another program's database", func(t *testing.T, h *history) {
			remove(t, h.path)
			mustExec(t, shell(t, h.path), `CREATE TABLE theirs (x)`)
		}, "is not a key store; name"},
		{"over a text", func(t *testing.T, h *history) { write(t, h.path, strings.Repeat("hello ", 1000)) }, "move it"},
		{"over what cannot be written to", func(t *testing.T, h *history) {
			text := read(t, h.path)
			clear(text[100:4096])
			write(t, h.path, string(text))
		}, "move it"},
		{"over a newer key store", func(t *testing.T, h *history) { mustExec(t, shell(t, h.path), `PRAGMA user_version = 99`) }, "newer mcpkeys"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHistory(t, "ci")
			_ = h.store.Close()
			c.spoil(t, h)
			before := snapshot(t, filepath.Dir(h.path))
			r, err := sqlite.PrepareRestore(t.Context(), h.path, h.backup, nil)
			if err == nil {
				_ = r.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("PrepareRestore: got %v, want %q in it", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "writable") {
				t.Errorf("PrepareRestore: got %v, which blames access rights", err)
			}
			if after := snapshot(t, filepath.Dir(h.path)); !same(before, after) {
				t.Errorf("PrepareRestore changed something: %q, %q", names(before), names(after))
			}
		})
	}
}

// A27. The attack: who can write the backups puts an older row of a revoked key into one,
// whole, with the seal that it had then. Only the audit log shows it, as it shows it in a
// key store in use.
func TestA27RestoreOfARowPutBack(t *testing.T) {
	h := newHistory(t, "leaked")
	old := h.backup
	h.revoke(t, "leaked", "lost")
	h.backup = filepath.Join(t.TempDir(), "later.db")
	backUp(t, h.store.Reader, h.backup)
	db := shell(t, h.backup)
	mustExec(t, db, `ATTACH ? AS old`, old)
	mustExec(t, db, `UPDATE keys SET revoked_at = NULL, revoked_reason = '', version = was.version, seal = was.seal
		FROM old.keys was WHERE keys.id = was.id`)
	r, err := sqlite.PrepareRestore(t.Context(), h.path, h.backup, nil)
	if err == nil {
		_ = r.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "an older row was put back") || !strings.HasSuffix(err.Error(), "; use another backup") {
		t.Errorf("PrepareRestore: got %v, want it refused for the row that was put back", err)
	}
}

// A row that does not match its seal is accepted by no server. A backup with such a row is
// told of, and restored: all other keys may need it. However many such rows there are, they
// hide no other fault.
func TestA27RestoreOfEditedRows(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "stays", "edited")
	mustExec(t, shell(t, h.backup), `UPDATE keys SET scopes = '["*"]' WHERE name = 'edited'`)
	r := h.prepare(t)
	if !slices.Equal(r.Tampered, []string{h.id("edited")}) {
		t.Errorf("Tampered: got %q, want the edited key", r.Tampered)
	}
	if _, err := r.Run(t.Context(), sqlite.RestoreOptions{Actor: "restorer"}); err != nil {
		t.Fatalf("Run: %v", err)
	}
	for name, sound := range map[string]bool{"stays": true, "edited": false} {
		if k, err := h.store.Key(t.Context(), h.id(name)); err != nil || (h.store.Peppers().CheckSeal(k) == nil) != sound {
			t.Errorf("%s after the restore: got %v, want a seal that holds: %t", name, err, sound)
		}
	}

	var names []string
	for i := range audit.MaxFaults {
		names = append(names, strconv.Itoa(i))
	}
	h = newHistory(t, append(names, "removed")...)
	db := shell(t, h.backup)
	mustExec(t, db, `UPDATE keys SET scopes = '["*"]'`)
	mustExec(t, db, `DELETE FROM secrets WHERE key_id = ?`, []byte(h.id("removed")))
	mustExec(t, db, `DELETE FROM keys WHERE id = ?`, []byte(h.id("removed")))
	r, err := sqlite.PrepareRestore(t.Context(), h.path, h.backup, nil)
	if err == nil {
		_ = r.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "its row is missing") {
		t.Errorf("PrepareRestore: got %v, want the removed row told among those that were edited", err)
	}
}

// An honest backup is restored, also one of keys that were revoked and rotated, with a
// second pepper, after a restore.
func TestRestoreOfABusyLife(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "ci", "old")
	h.revoke(t, "old", "done")
	if _, err := manager(t, h.store).Rotate(t.Context(), h.id("ci"), admin.RotateRequest{}); err != nil {
		t.Fatal(err)
	}
	h.restore(t, sqlite.RestoreOptions{})
	m := manager(t, h.store)
	if _, err := m.AddPepper(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.issue(t, "late")
	h.backup = filepath.Join(t.TempDir(), "second.db")
	backUp(t, h.store.Reader, h.backup)
	h.revoke(t, "late", "gone")
	h.restore(t, sqlite.RestoreOptions{})
	if report, err := store.VerifyAudit(t.Context(), open(t, h.path), nil); err != nil || len(report.Faults) > 0 {
		t.Errorf("VerifyAudit: got %v, %v, want no fault", report.Faults, err)
	}
}

// TestA27RestoreAfterTampering: an attacker with a database shell made revocations undo
// themselves, planted others, and removed rows. The restore drops what was planted, and
// keeps every revocation that a seal or the audit log confirms.
func TestA27RestoreAfterTampering(t *testing.T) {
	h := newHistory(t, "planted", "removed", "revived", "sealed")
	for _, name := range []string{"removed", "revived", "sealed"} {
		h.revoke(t, name, "leaked")
	}
	db := shell(t, h.path)
	mustExec(t, db, `UPDATE keys SET revoked_at = 1, revoked_reason = 'planted' WHERE name = 'planted'`)
	mustExec(t, db, `DELETE FROM secrets WHERE key_id IN (SELECT id FROM keys WHERE name = 'removed')`)
	mustExec(t, db, `DELETE FROM keys WHERE name = 'removed'`)
	mustExec(t, db, `UPDATE keys SET revoked_at = NULL WHERE name = 'revived'`)
	mustExec(t, db, `CREATE TRIGGER undo AFTER UPDATE ON keys BEGIN SELECT 1; END`)
	p := h.prepare(t)
	if p.Doubt == nil || !strings.Contains(p.Doubt.Error(), `"undo"`) {
		t.Errorf("Doubt: got %v, want the trigger named", p.Doubt)
	}
	if got := labels(p.Undone.Doubtful); !slices.Equal(got, []string{"planted"}) {
		t.Errorf("Doubtful: got %q, want the planted one", got)
	}
	_ = p.Close()
	h.restore(t, sqlite.RestoreOptions{})
	for name, want := range map[string]keys.Status{"planted": "active", "removed": "revoked", "revived": "revoked", "sealed": "revoked"} {
		if got := h.status(t, name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	open(t, h.path) // which refuses a planted trigger
}

// spoilTables overwrites the first page of tables.
func spoilTables(t testing.TB, path string, tables ...string) {
	t.Helper()
	db := shell(t, path)
	var at []int64
	for _, name := range tables {
		var page int64
		if err := db.QueryRow(`SELECT rootpage FROM sqlite_schema WHERE name = ?`, name).Scan(&page); err != nil {
			t.Fatal(err)
		}
		at = append(at, (page-1)*4096)
	}
	_ = db.Close()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, offset := range at {
		if _, err := f.WriteAt(make([]byte, 4096), offset); err != nil {
			t.Fatal(err)
		}
	}
}

// A damaged key store is what backups are for. What was done since cannot be told.
func TestRestoreOverDamage(t *testing.T) {
	h := newHistory(t, "ci")
	h.revoke(t, "ci", "lost with the rest")
	_ = h.store.Close()
	info, err := os.Stat(h.path)
	if err != nil {
		t.Fatal(err)
	}
	spoilTables(t, h.path, "keys", "audit")
	p := h.prepare(t)
	if p.Doubt == nil || p.Present != nil || !strings.Contains(p.Doubt.Error(), "damaged") {
		t.Errorf("PrepareRestore: got %+v, %v, want the damage told", p.Present, p.Doubt)
	}
	_ = p.Close()
	done := h.restore(t, sqlite.RestoreOptions{})
	h.store = open(t, h.path)
	if got := h.status(t, "ci"); got != keys.StatusActive {
		t.Errorf("the key: got %s, want it as it was in the backup", got)
	}
	if kept := read(t, done.Kept); int64(len(kept)) != info.Size() {
		t.Errorf("kept: got %d bytes, want the %d that were there", len(kept), info.Size())
	}
}

// A backup of another key store, or one from before an earlier restore, is compared row
// by row.
func TestRestoreUnrelated(t *testing.T) {
	t.Parallel()
	h := newHistory(t, "ci", "old")
	second := filepath.Join(t.TempDir(), "second.db")
	h.issue(t, "new")
	backUp(t, h.store.Reader, second)
	h.restore(t, sqlite.RestoreOptions{})
	h.revoke(t, "old", "in the restored one")
	h.issue(t, "newest")
	h.backup = second
	p := h.prepare(t)
	if u := p.Undone; u.Related || u.Events != 0 || !slices.Equal(labels(u.Revoked), []string{"old"}) || !slices.Equal(labels(u.Issued), []string{"newest"}) {
		t.Errorf("Undone: got %+v, want it unrelated, one revoked and one issued", u)
	}
	_ = p.Close()
	h.restore(t, sqlite.RestoreOptions{})
	for name, want := range map[string]keys.Status{"ci": "active", "old": "revoked", "new": "active", "newest": "gone"} {
		if got := h.status(t, name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// A restore that is cancelled, or has no actor, changes nothing.
func TestRestoreGivenUp(t *testing.T) {
	h := newHistory(t, "ci")
	h.revoke(t, "ci", "")
	p := h.prepare(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Run(ctx, sqlite.RestoreOptions{Actor: "restorer"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Run, cancelled: got %v", err)
	}
	if _, err := p.Run(t.Context(), sqlite.RestoreOptions{}); err == nil {
		t.Error("Run without an actor: got no error")
	}
	_ = p.Close()
	if _, err := p.Run(t.Context(), sqlite.RestoreOptions{Actor: "restorer"}); err == nil {
		t.Error("Run after Close: got no error")
	}
	if got := len(wholeChain(t, h.store.Reader)); got != 2 {
		t.Errorf("got %d audit rows, want 2 as before", got)
	}
	if left, _ := filepath.Glob(h.path + ".before*"); len(left)+len(hidden(t, filepath.Dir(h.path))) != 0 {
		t.Errorf("left over: %q", left)
	}
}

// A pepper may be replaced between the question and the answer. The restored key store must
// open with the pepper file as it is then.
func TestRestoreAfterAPepperWasReplaced(t *testing.T) {
	h := newHistory(t)
	r, old := h.prepare(t), h.store.Peppers().Current()
	addPepper(t, h.store)
	retire(t, h.store, old)
	if _, err := r.Run(t.Context(), sqlite.RestoreOptions{Actor: "restorer"}); err == nil {
		t.Error("Run of a backup that needs a pepper that is gone: got no error")
	}
	open(t, h.path)
}
