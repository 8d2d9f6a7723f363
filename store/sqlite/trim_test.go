package sqlite_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

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

// After a quiet day old events go, but a reader that stands at the last one hears of each change
// that comes then, also of two between two looks.
func TestQuietDayIsNotLost(t *testing.T) {
	path := create(t)
	s := open(t, path)
	var ids []string
	for range 5 {
		ids = append(ids, issue(t, s, admin.IssueRequest{Name: fmt.Sprint("key ", len(ids))}).Key.ID)
	}
	at := mustChanges(t, s, feed.Position{}).Next
	db := shell(t, path)
	mustExec(t, db, `UPDATE events SET at = at - ?`, 48*time.Hour.Microseconds())
	m := manager(t, s)
	for _, id := range ids[:3] {
		if _, err := m.Revoke(t.Context(), id, "test"); err != nil {
			t.Fatal(err)
		}
	}
	if c := mustChanges(t, s, at); c.Lost || !slices.Equal(c.IDs, ids[:3]) {
		t.Errorf("Changes since a quiet day began: got %+v, want the three keys", c)
	}
	var old int
	if err := db.QueryRow(`SELECT count(*) FROM events WHERE at < ?`, time.Now().Add(-24*time.Hour).UnixMicro()).Scan(&old); err != nil {
		t.Fatal(err)
	}
	if old != 1 {
		t.Errorf("got %d old events, want the last one", old)
	}
}
