//go:build cgo

package sqlite_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"
	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// An import makes many keys at one instant. To read all pages of a list must take one pass
// over them: a page that walks over all earlier ones makes the whole quadratic. Other keys
// are older, and each page of a filter that leaves them out must not walk over them either.
func TestAllPagesAreOnePass(t *testing.T) {
	const instant, older, perPage = 2000, 1000, 20
	path := create(t)
	s := open(t, path)
	fillOneInstant(t, s, instant, older)
	visited := 0
	db := sql.OpenDB(counting{path, &visited})
	t.Cleanup(func() { _ = db.Close() })
	mustExec(t, db, `ATTACH ? AS usage`, path+".usage")
	ann, now := "ann", time.Now()
	for what, q := range map[string]keys.Query{
		"all":                   {},
		"search":                {Search: "n"},
		"search for older keys": {Search: "old"},
		"scope":                 {Scope: "tools:a"},
		"audience":              {Audience: "weather"},
		"kind":                  {Kind: keys.KindKey},
		"unrevoked":             {Unrevoked: true},
		"active":                {Status: keys.StatusActive, Now: now},
		"expired":               {Status: keys.StatusExpired, Now: now},
		"revoked":               {Status: keys.StatusRevoked, Now: now},
		"expires by":            {ExpiresBy: now.Add(time.Hour)},
		"name":                  {Name: "same"},
		"name of unrevoked":     {Name: "same", Unrevoked: true},
		"owner":                 {Owner: &ann},
		"owner's unrevoked":     {Owner: &ann, Unrevoked: true, Kind: keys.KindKey},
		"id prefix":             {IDPrefix: "A"},
		"id prefix of some":     {IDPrefix: "AB"},
		"unused":                {UnusedBy: now.Add(time.Hour)},
	} {
		visited = 0
		q.Limit = perPage
		pages := 0
		for {
			next, err := s.Visit(t.Context(), db, q, `visited(k.id)`)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if pages++; next == "" {
				break
			}
			q.Cursor = next
		}
		t.Logf("%s: %d pages visit %d rows of %d", what, pages, visited, instant+older)
		if most := 3 * (instant + older); visited > most {
			t.Errorf("%s: all %d pages visit %d rows, want at most %d of a table of %d", what, pages, visited, most, instant+older)
		}
	}
}

// fillOneInstant adds keys of one instant, and older ones of different times. The rows are
// copies of one key, so their seals are broken; a list does not look at them.
func fillOneInstant(t *testing.T, s *sqlite.Store, instant, older int) {
	t.Helper()
	issue(t, s, admin.IssueRequest{Name: "pattern", Owner: "ann", Scopes: []string{"tools:a"}, Audience: []string{"weather"}})
	mustExec(t, s.Writer(), `CREATE TEMP TABLE pattern AS SELECT * FROM keys; CREATE TEMP TABLE pattern_secret AS SELECT * FROM secrets`)
	mustExec(t, s.Writer(), `CREATE TEMP TABLE ids AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		SELECT i, i > ? AS old, CAST('A' || substr(hex(randomblob(6)), 1, 11) AS BLOB) AS id FROM n`, instant+older, instant)
	mustExec(t, s.Writer(), `INSERT INTO keys SELECT ids.id, kind, iif(old, 'old ' || i, iif(i % 2, 'same', 'name ' || i)), iif(old OR i % 2, 'owner ' || i, owner), owner_id,
		iif(old, '[]', scopes), iif(old, '[]', audience), allowed_ips, metadata, rate_count, rate_window, rate_burst, max_concurrent, max_key_life, quiet,
		created_at - iif(old, i, 0), created_by, batch, iif(i % 3, NULL, created_at), disabled_at, iif(i % 5, NULL, created_at), revoked_reason,
		version, seal_format, seal_pepper, seal FROM ids, pattern`)
	mustExec(t, s.Writer(), `INSERT INTO secrets SELECT ids.id, number, scheme, pepper_id, digest, lookup, created_at, expires_at FROM ids, pattern_secret`)
}

// counting opens connections with a function visited that counts its calls.
type counting struct {
	path  string
	calls *int
}

func (c counting) Driver() driver.Driver {
	return &sqlite3.SQLiteDriver{ConnectHook: func(conn *sqlite3.SQLiteConn) error {
		return conn.RegisterFunc("visited", func([]byte) bool { *c.calls++; return true }, false)
	}}
}

func (c counting) Connect(context.Context) (driver.Conn, error) {
	return c.Driver().Open("file:" + c.path)
}
