package sqlite_test

import (
	"context"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// The feed tells at most 10,000 changes one by one, so it keeps only as many, also if a day has
// more, as after an import.
func TestFeedIsTrimmed(t *testing.T) {
	const kept, changes = 10_000, 25_000
	path := create(t)
	s := open(t, path)
	id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
	begin := mustChanges(t, s, feed.Position{}).Next
	db := shell(t, path)
	mustExec(t, db, `CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i FROM n`, changes)
	mustExec(t, db, `CREATE TEMP TRIGGER again AFTER INSERT ON n BEGIN UPDATE keys SET owner = owner; END`)
	mustExec(t, db, `INSERT INTO n SELECT i FROM n`)
	count := func() (rows int64) {
		t.Helper()
		if err := db.QueryRow(`SELECT count(*) FROM events`).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	if n := count(); n < changes {
		t.Fatalf("got %d events, want %d to begin with", n, changes)
	}
	at := mustChanges(t, s, feed.Position{}).Next
	m := manager(t, s)
	for _, disable := range []bool{true, false, true} {
		change := m.Enable
		if disable {
			change = func(ctx context.Context, id string) (*keys.Key, error) { return m.Disable(ctx, id, "test") }
		}
		if _, err := change(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(); n > kept+10 {
		t.Errorf("got %d events, want about %d", n, kept)
	}
	if c := mustChanges(t, s, at); c.Lost || len(c.IDs) != 1 {
		t.Errorf("Changes of the last three: got %+v, want the key", c)
	}
	if c := mustChanges(t, s, begin); !c.Lost {
		t.Errorf("Changes from the beginning: got %+v, want lost", c)
	}
}
