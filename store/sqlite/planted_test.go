package sqlite_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/importing"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// planted are objects with which an attacker with a database shell, without the pepper, makes
// a revocation undo itself: they put an older row back with its valid seal.
var planted = map[string][]string{
	"a trigger on keys": {
		`CREATE TABLE old AS SELECT * FROM keys`,
		`CREATE TRIGGER undo AFTER UPDATE ON keys WHEN NEW.revoked_at IS NOT NULL BEGIN
			UPDATE keys SET revoked_at = NULL, revoked_reason = '', version = (SELECT version FROM old WHERE id = NEW.id), seal = (SELECT seal FROM old WHERE id = NEW.id) WHERE id = NEW.id; END`,
	},
	"a trigger on audit": {
		`CREATE TABLE old AS SELECT * FROM keys`,
		`CREATE TRIGGER undo AFTER INSERT ON audit BEGIN
			UPDATE keys SET revoked_at = NULL, revoked_reason = '', version = (SELECT version FROM old WHERE id = keys.id), seal = (SELECT seal FROM old WHERE id = keys.id); END`,
	},
}

// TestA27PlantedTriggersUndoNothing: the objects are there before, and after, a program
// opens the store. Either way the revocation is not acknowledged, what is planted is
// named together with what removes it, and removing that helps.
func TestA27PlantedTriggersUndoNothing(t *testing.T) {
	for name, statements := range planted {
		t.Run(name, func(t *testing.T) {
			path := create(t)
			before := open(t, path)
			id := issue(t, before, admin.IssueRequest{Name: "victim"}).Key.ID
			db := shell(t, path)
			for _, statement := range statements {
				mustExec(t, db, statement)
			}
			after := open(t, path)
			for when, s := range map[string]*sqlite.Store{"opened before": before, "opened after": after} {
				k, err := manager(t, s).Revoke(t.Context(), id, "leaked")
				isAltered(t, "Revoke, "+when, err, `DROP TRIGGER "undo"`)
				if k != nil {
					t.Errorf("Revoke, %s: got %v, want none acknowledged", when, k)
				}
				_, err = s.Changes(t.Context(), feed.Position{})
				isAltered(t, "Changes, "+when, err, `"undo"`)
				_, err = s.List(t.Context(), keys.Query{})
				if err != nil {
					t.Errorf("List, %s: %v", when, err)
				}
			}
			_, err := sqlite.Examine(t.Context(), path)
			isAltered(t, "Examine", err, `DROP TRIGGER "undo"`)
			for _, statement := range drops(t, err) {
				mustExec(t, db, statement)
			}
			for _, s := range []*sqlite.Store{before, after} {
				mustChanges(t, s, feed.Position{})
				mustRevoke(t, s, id)
			}
			if k, err := before.Key(t.Context(), id); err != nil || k.RevokedAt.IsZero() {
				t.Errorf("Key after what was planted is gone: got %v, %v, want it revoked", k, err)
			}
		})
	}
}

// drops are the statements that an error tells to execute.
func drops(t *testing.T, err error) []string {
	t.Helper()
	_, list, found := strings.Cut(err.Error(), "in a database shell (")
	list, _, closed := strings.Cut(list, "), and run")
	if !found || !closed {
		t.Fatalf("%v: names no statement", err)
	}
	return strings.Split(list, "; ")
}

// A trigger on meta fires when a change notes a new pepper, which is the last statement
// but one. What it undoes then is found all the same.
func TestA27TriggerOnTheLastStatementUndoesNothing(t *testing.T) {
	path := create(t)
	s := open(t, path)
	id := issue(t, s, admin.IssueRequest{Name: "victim"}).Key.ID
	db := shell(t, path)
	mustExec(t, db, `CREATE TABLE old AS SELECT * FROM keys`)
	mustExec(t, db, `CREATE TRIGGER undo AFTER INSERT ON meta BEGIN
		UPDATE keys SET revoked_at = NULL, revoked_reason = '', version = (SELECT version FROM old), seal_pepper = (SELECT seal_pepper FROM old), seal = (SELECT seal FROM old); END`)
	if _, err := pepperfile.Replace(path+".pepper", func(p *pepper.Set) (*pepper.Set, error) {
		more, _, err := p.Add()
		return more, err
	}); err != nil {
		t.Fatal(err)
	}
	_, err := manager(t, s).Revoke(t.Context(), id, "leaked")
	isAltered(t, "Revoke", err, `"undo"`)
	mustExec(t, db, `DROP TRIGGER undo; DROP TABLE old`)
	mustRevoke(t, s, id)
	if report, err := store.VerifyAudit(t.Context(), s, nil); err != nil || len(report.Faults) != 0 {
		t.Errorf("VerifyAudit: got %+v, %v, want a log that holds", report, err)
	}
}

// With what is not ours in the store keys can be looked at, revoked and disabled, and
// nothing else can be changed.
func TestForeignObjectLeavesRevokeAndDisable(t *testing.T) {
	path := create(t)
	s := open(t, path)
	a, b := issue(t, s, admin.IssueRequest{Name: "a"}).Key.ID, issue(t, s, admin.IssueRequest{Name: "b"}).Key.ID
	c := issue(t, s, admin.IssueRequest{Name: "c"}).Key.ID
	since := mustChanges(t, s, feed.Position{}).Next
	db := shell(t, path)
	mustExec(t, db, `CREATE TABLE notes (text)`)
	for when, s := range map[string]*sqlite.Store{"opened before": s, "opened after": open(t, path)} {
		m := manager(t, s)
		for what, change := range map[string]func() error{
			"Issue":     func() error { _, err := m.Issue(t.Context(), admin.IssueRequest{Name: "new"}); return err },
			"Rotate":    func() error { _, err := m.Rotate(t.Context(), a, admin.RotateRequest{}); return err },
			"AddPepper": func() error { _, err := m.AddPepper(t.Context()); return err },
			"Record": func() error {
				e, err := audit.NewEvent(t.Context(), "test", audit.ActionRestore, time.Now(), nil)
				return errors.Join(err, s.Record(t.Context(), e))
			},
		} {
			isAltered(t, what+", "+when, change(), `DROP TABLE "notes"`)
		}
		if k, err := s.Key(t.Context(), c); err != nil || s.Peppers().CheckSeal(k) != nil {
			t.Errorf("Key, %s: %v", when, err)
		}
	}
	mustRevoke(t, s, a)
	if k, err := manager(t, s).Disable(t.Context(), b, ""); err != nil || k.DisabledAt.IsZero() {
		t.Errorf("Disable: got %v, %v, want it disabled", k, err)
	}
	mustExec(t, db, `DROP TABLE notes`)
	got := mustChanges(t, s, since)
	if !got.Lost {
		t.Errorf("Changes after it is gone: got %+v, want Lost", got)
	}
	issue(t, s, admin.IssueRequest{Name: "new"})
}

// The attack: an object is written directly into the schema, which does not change SQLite's
// schema version; a program that starts then parses it, and it is removed before the schema is
// compared. A connection uses what it has parsed.
func TestA27PlantedForAMoment(t *testing.T) {
	path := create(t)
	id := issue(t, open(t, path), admin.IssueRequest{Name: "victim"}).Key.ID
	db := shell(t, path)
	mustExec(t, db, `PRAGMA writable_schema = ON`)
	mustExec(t, db, `INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES ('trigger', 'sqlite_zz', 'keys', 0,
		'CREATE TRIGGER sqlite_zz AFTER UPDATE ON keys BEGIN DELETE FROM events WHERE seq > 0; END')`)
	s, r := open(t, path), forChecks(t, path)
	_, err := r.Changes(t.Context(), feed.Position{})
	isAltered(t, "Changes", err, `DROP TRIGGER "sqlite_zz"`)
	mustExec(t, db, `DELETE FROM sqlite_schema WHERE name = 'sqlite_zz'`)
	since := mustChanges(t, r, feed.Position{}).Next
	mustRevoke(t, s, id)
	if got := mustChanges(t, r, since); len(got.IDs) != 1 || got.IDs[0] != id {
		t.Errorf("Changes: got %+v, want the revoked key told", got)
	}
}

// The attack: two tables change places in the schema itself, so that programs which have
// it parsed already go on with one, and programs that start later write into the other.
func TestA27TablesThatChangePlaces(t *testing.T) {
	path := create(t)
	s, r := open(t, path), forChecks(t, path)
	id := issue(t, s, admin.IssueRequest{Name: "victim"}).Key.ID
	since := mustChanges(t, r, feed.Position{}).Next
	db := shell(t, path)
	mustExec(t, db, `PRAGMA writable_schema = ON`)
	mustExec(t, db, `UPDATE sqlite_schema SET rootpage = CASE name WHEN 'superseded' THEN (SELECT rootpage FROM sqlite_schema WHERE name = 'batches')
		ELSE (SELECT rootpage FROM sqlite_schema WHERE name = 'superseded') END WHERE name IN ('superseded', 'batches')`)
	if got := mustChanges(t, r, since); !got.Lost {
		t.Errorf("Changes: got %+v, want Lost, and the schema parsed again", got)
	}
	mustRevoke(t, s, id)
}

// What is missing is as bad: without the triggers of the feed no process would learn
// of a change. Such a store is not opened, and one that is open writes nothing.
func TestMissingObjectsAreNoticed(t *testing.T) {
	t.Parallel()
	for _, statement := range []string{
		`DROP TRIGGER keys_updated`, `DROP INDEX keys_name`,
		`DROP TRIGGER keys_updated; CREATE TRIGGER keys_updated AFTER UPDATE ON keys BEGIN SELECT 1; END`,
		`PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'key.updated', 'key.nothing') WHERE name = 'keys_updated'`,
		`PRAGMA writable_schema = ON; UPDATE sqlite_schema SET tbl_name = 'secrets' WHERE name = 'keys_updated'`,
	} {
		path := create(t)
		s := open(t, path)
		id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
		mustExec(t, shell(t, path), statement)
		_, err := s.Changes(t.Context(), feed.Position{})
		isAltered(t, "Changes after "+statement, err, "lacks 1")
		if _, err := manager(t, s).Revoke(t.Context(), id, ""); !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("Revoke after %q: got %v, want ErrUnavailable", statement, err)
		}
		for what, err := range openBoth(path) {
			if err == nil {
				t.Errorf("%s after %q: got no error", what, statement)
			}
		}
	}
	path := create(t) // SQLite's own objects are accepted
	mustExec(t, shell(t, path), `ANALYZE`)
	for what, err := range openBoth(path) {
		if err != nil {
			t.Errorf("%s after ANALYZE: %v", what, err)
		}
	}
	s := open(t, path)
	issue(t, s, admin.IssueRequest{Name: "ci"})
	mustExec(t, shell(t, path), `VACUUM`)
	mustChanges(t, s, feed.Position{})
	issue(t, s, admin.IssueRequest{Name: "after"})
}

// Names like those of SQLite, and Litestream's tables with another text, are as strange as
// any other.
func TestStrangeObjectsAreTold(t *testing.T) {
	for _, c := range []struct{ statement, want string }{
		{`CREATE VIEW v AS SELECT 1`, `drop it in a database shell (DROP VIEW "v")`},
		{`CREATE INDEX mine ON keys (version)`, `drop it in a database shell (DROP INDEX "mine")`},
		{`CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER, more)`, `DROP TABLE "_litestream_seq"`},
		{`CREATE TABLE "say ""x""" (a)`, `DROP TABLE "say ""x"""`},
		{`CREATE TABLE a (x); CREATE TABLE b (x)`, `1 more`},
		{`PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT type, 'sqlite_autoindex_keys_9', 'sqlite_autoindex_keys_9', rootpage, replace(sql, 'TABLE meta', 'TABLE sqlite_autoindex_keys_9') FROM sqlite_schema WHERE name = 'meta'`, `keyctl restore`},
	} {
		path := create(t)
		db := shell(t, path)
		mustExec(t, db, c.statement)
		_, err := sqlite.Examine(t.Context(), path)
		isAltered(t, "Examine after "+c.statement, err, c.want)
		if strings.Contains(c.want, "DROP") {
			for _, statement := range drops(t, err) {
				mustExec(t, db, statement)
			}
			if _, err := sqlite.Examine(t.Context(), path); err != nil {
				t.Errorf("Examine after what was advised: %v", err)
			}
		}
	}
}

func openBoth(path string) map[string]error {
	errs := map[string]error{}
	s, err := sqlite.Open(path, nil)
	if errs["Open"] = err; err == nil {
		_ = s.Close()
	}
	r, err := sqlite.OpenVerifier(path, nil)
	if errs["OpenVerifier"] = err; err == nil {
		_ = r.Close()
	}
	return errs
}

// A database that others may open is refused like a pepper that they may read.
func TestOpenToOthersIsRefused(t *testing.T) {
	path := create(t)
	chmod(t, path, 0o640)
	for what, err := range openBoth(path) {
		if err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("%s: got %v, want the fix named", what, err)
		}
	}
}

// Who only reads waits for no writer, also when it opens the store for writing, as
// commands do that resolve a name first.
func TestOpenWaitsForNoWriter(t *testing.T) {
	path := create(t)
	db := shell(t, path)
	db.SetMaxOpenConns(1)
	mustExec(t, db, `BEGIN IMMEDIATE`)
	s := open(t, path) // what waits for the lock fails, because it is held until the end
	if _, err := s.List(t.Context(), keys.Query{}); err != nil {
		t.Fatalf("List: %v", err)
	}
	mustExec(t, db, `ROLLBACK`)
	if _, err := s.Key(t.Context(), "zzzzzzzzzzzz"); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("Key: got %v, want ErrNotFound", err)
	}
}

// tellNothing are statements that take back the event of what a trigger has just written, so
// that the feed and the change number look as if it had written nothing.
const tellNothing = `DELETE FROM main.events WHERE seq = (SELECT value FROM main.meta WHERE name = 'change_seq');
	UPDATE main.meta SET value = value - 1 WHERE name = 'change_seq';`

// interfere has a statement follow what the store itself writes, in its own connection, where
// no look at the schema of the file finds it.
func interfere(t *testing.T, s *sqlite.Store, trigger string) {
	t.Helper()
	mustExec(t, s.Writer(), `CREATE TEMP TRIGGER interfering `+trigger)
}

// A key of an unfinished import that is removed comes back before the commit: what is to be
// gone is looked for, as the last thing.
func TestRemovedKeyThatComesBackIsNoticed(t *testing.T) {
	t.Parallel()
	path := create(t)
	killedImport(t, path, 600, "old")
	s := open(t, path)
	interfere(t, s, `AFTER DELETE ON main.keys WHEN OLD.name = 'old-0000003' BEGIN
		INSERT INTO main.keys SELECT OLD.id, OLD.kind, OLD.name, OLD.owner, OLD.owner_id, OLD.scopes, OLD.audience, OLD.allowed_ips, OLD.metadata,
			OLD.rate_count, OLD.rate_window, OLD.rate_burst, OLD.max_concurrent, OLD.max_key_life, OLD.quiet, OLD.created_at, OLD.created_by, NULL,
			OLD.expires_at, OLD.disabled_at, OLD.revoked_at, OLD.revoked_reason, OLD.version, OLD.seal_format, OLD.seal_pepper, OLD.seal;
		`+tellNothing+` END`)
	_, err := manager(t, s).Issue(t.Context(), admin.IssueRequest{Name: "old-0000001"})
	isAltered(t, "Issue", err, "it did not keep a change")
	mustExec(t, s.Writer(), `DROP TRIGGER interfering`)
	issue(t, s, admin.IssueRequest{Name: "old-0000001"})
}

// The row of an import is changed again after it was made valid: nothing of it is
// acknowledged.
func TestImportThatIsChangedAsItBecomesValidIsNoticed(t *testing.T) {
	path := create(t)
	s := open(t, path)
	interfere(t, s, `AFTER UPDATE ON main.batches BEGIN
		UPDATE main.batches SET valid_at = NEW.valid_at + 1 WHERE id = NEW.id;
		`+tellNothing+` END`)
	_, err := importing.Import(t.Context(), manager(t, s), manyRows(2, "import", func(int) {}), importing.Options{})
	isAltered(t, "Import", err, "it did not keep a change")
	mustExec(t, s.Writer(), `DROP TRIGGER interfering`)
	report, err := importing.Import(t.Context(), manager(t, s), manyRows(2, "import", func(int) {}), importing.Options{})
	if err != nil || report.Imported != 2 {
		t.Errorf("Import afterwards: got %+v, %v, want 2", report, err)
	}
}
