package verifier_test

import (
	"errors"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// alterations are changes with a database shell, without the pepper, to a store that guards
// have open, and how to undo them. A trigger with a reserved name is written directly into
// the schema, which does not change SQLite's schema version.
var alterations = []struct {
	name, do, undo string
	revocable      bool // a revoke is effective all the same; else it is refused
}{
	{
		"a trigger that puts the old row back", `CREATE TABLE old AS SELECT * FROM keys; CREATE TRIGGER undo AFTER UPDATE ON keys WHEN NEW.revoked_at IS NOT NULL BEGIN
		UPDATE keys SET revoked_at = NULL, revoked_reason = '', version = (SELECT version FROM old WHERE id = NEW.id), seal = (SELECT seal FROM old WHERE id = NEW.id) WHERE id = NEW.id; END`,
		`DROP TRIGGER undo; DROP TABLE old`, false,
	},
	{
		"a trigger with a reserved name that eats the event", `PRAGMA writable_schema = ON;
		INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES ('trigger', 'sqlite_zz', 'events', 0, 'CREATE TRIGGER sqlite_zz AFTER INSERT ON events BEGIN
			DELETE FROM events WHERE seq = NEW.seq; UPDATE meta SET value = value - 1 WHERE name = ''change_seq''; END')`,
		`PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'sqlite_zz'`, false,
	},
	{"an ordinary trigger that eats the event", `CREATE TRIGGER eat AFTER INSERT ON events BEGIN DELETE FROM events WHERE seq = NEW.seq; END`, `DROP TRIGGER eat`, false},
	{"a trigger that deletes audit rows", `CREATE TRIGGER eat AFTER INSERT ON audit BEGIN DELETE FROM audit WHERE seq = NEW.seq; END`, `DROP TRIGGER eat`, false},
	{"a trigger that fails every change", `CREATE TRIGGER no BEFORE UPDATE ON keys BEGIN SELECT RAISE(ABORT, 'no'); END`, `DROP TRIGGER no`, false},
	{"a trigger that leaves every change out", `CREATE TRIGGER no BEFORE UPDATE ON keys BEGIN SELECT RAISE(IGNORE); END`, `DROP TRIGGER no`, false},
	{"a trigger that rolls every change back", `CREATE TRIGGER no BEFORE UPDATE ON keys BEGIN SELECT RAISE(ROLLBACK, 'no'); END`, `DROP TRIGGER no`, false},
	{"a foreign table", `CREATE TABLE notes (text)`, `DROP TABLE notes`, true},
	{"a trigger that does nothing", `CREATE TRIGGER idle AFTER UPDATE ON keys BEGIN SELECT 1; END`, `DROP TRIGGER idle`, true},
}

// TestA27GuardsRefuseAnAlteredStore: guards answer 503 from their next look on, whatever
// they remember, without waiting for a lease. A revoke is refused or effective, also after
// the planted object was removed. The guard then drops what it remembers.
func TestA27GuardsRefuseAnAlteredStore(t *testing.T) {
	for _, c := range alterations {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
			_, other := b.issue(t, admin.IssueRequest{Name: "other"})
			b.want(t, token, verifier.Call{}, keys.CodeValid)
			b.want(t, other, verifier.Call{}, keys.CodeValid)

			b.sqlShell(t, c.do)
			b.now = b.now.Add(250 * time.Millisecond)
			var altered *feed.AlteredError
			if d := b.want(t, token, verifier.Call{}, keys.CodeUnavailable); !errors.As(d.Cause, &altered) {
				t.Errorf("Authenticate: got cause %v, want an AlteredError", d.Cause)
			}
			b.want(t, other, verifier.Call{}, keys.CodeUnavailable)

			_, err := b.manager.Revoke(t.Context(), id, "leaked")
			if c.revocable != (err == nil) || err != nil && !errors.As(err, &altered) {
				t.Errorf("Revoke: got %v, want success %v or an AlteredError", err, c.revocable)
			}
			_, issueErr := b.manager.Issue(t.Context(), admin.IssueRequest{Name: "new"})
			if !errors.As(issueErr, &altered) {
				t.Errorf("Issue: got %v, want an AlteredError", issueErr)
			}
			b.want(t, token, verifier.Call{}, keys.CodeUnavailable)

			b.sqlShell(t, c.undo)
			b.now = b.now.Add(250 * time.Millisecond)
			want := keys.CodeValid
			if err == nil {
				want = keys.CodeRevoked
			}
			b.want(t, other, verifier.Call{}, keys.CodeValid)
			b.want(t, token, verifier.Call{}, want)
			if _, err := b.manager.Revoke(t.Context(), id, "leaked"); err != nil {
				t.Errorf("Revoke afterwards: %v", err)
			}
			b.want(t, token, verifier.Call{}, keys.CodeRevoked)
			if report, err := store.VerifyAudit(t.Context(), b.store, nil); err != nil || len(report.Faults) != 0 {
				t.Errorf("VerifyAudit: got %+v, %v, want a log that holds", report, err)
			}
		})
	}
}

// TestLitestreamIsKnown: a replicator makes its two tables while guards run, and
// nothing else changes.
func TestLitestreamIsKnown(t *testing.T) {
	b := newBench(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	b.sqlShell(t, `CREATE TABLE IF NOT EXISTS _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
		CREATE TABLE IF NOT EXISTS _litestream_lock (id INTEGER);
		INSERT INTO _litestream_seq (id, seq) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET seq = seq + 1`)
	b.now = b.now.Add(250 * time.Millisecond)
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	b.issue(t, admin.IssueRequest{Name: "new"})
	b.revoke(t, id)
	b.want(t, token, verifier.Call{}, keys.CodeRevoked)
}

// TestA27GuardsRefuseNumbersOutOfRange: the same for the numbers by which changes are
// told.
func TestA27GuardsRefuseNumbersOutOfRange(t *testing.T) {
	b := newBench(t)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	b.sqlShell(t, `PRAGMA ignore_check_constraints = ON; UPDATE meta SET value = 9223372036854775807 WHERE name = 'change_seq'`)
	b.now = b.now.Add(250 * time.Millisecond)
	b.want(t, token, verifier.Call{}, keys.CodeUnavailable)
	b.want(t, token, verifier.Call{}, keys.CodeUnavailable)
}
