package sqlite_test

import (
	"context"
	"database/sql"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

const benchKeys = 100_000

// full opens a store of benchKeys keys and returns some of their ids. The rows are
// copies of one issued key: their seals are broken, which a read does not look at.
func full(b *testing.B) (*sqlite.Reader, []string) {
	b.Helper()
	path := create(b)
	s := open(b, path)
	issue(b, s, admin.IssueRequest{Name: "pattern", Owner: "ann", Scopes: []string{"tools:get_*", "tools:search"}, Audience: []string{"weather"}})
	mustExec(b, s.Writer(), `CREATE TEMP TABLE pattern AS SELECT * FROM keys; CREATE TEMP TABLE pattern_secret AS SELECT * FROM secrets`)
	mustExec(b, s.Writer(), `CREATE TEMP TABLE ids AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		SELECT i, CAST(substr(hex(randomblob(6)), 1, 12) AS BLOB) AS id FROM n`, benchKeys)
	mustExec(b, s.Writer(), `INSERT INTO keys SELECT ids.id, kind, 'key ' || i, owner, owner_id, scopes, audience, allowed_ips, metadata,
		rate_count, rate_window, rate_burst, max_concurrent, max_key_life, quiet, created_at + i, created_by, batch, expires_at, disabled_at,
		revoked_at, revoked_reason, version, seal_format, seal_pepper, seal
		FROM ids, pattern`)
	mustExec(b, s.Writer(), `INSERT INTO secrets SELECT ids.id, number, scheme, pepper_id, digest, lookup, created_at, expires_at
		FROM ids, pattern_secret`)
	r, err := sqlite.OpenVerifier(path, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = r.Close() })
	rows, err := s.Writer().Query(`SELECT id FROM ids ORDER BY random() LIMIT 4096`)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			b.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	return r, ids
}

// BenchmarkKey reads one key with its secret; BenchmarkKey/floor is what one
// prepared read of six columns of one row costs over the same connections.
func BenchmarkKey(b *testing.B) {
	r, ids := full(b)
	b.Run("store", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := r.Key(b.Context(), ids[i%len(ids)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		b.ReportAllocs()
		floor(b, r.Connections(), ids)
	})
	b.Run("unknown", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = r.Key(b.Context(), "zzzzzzzzzzzz")
		}
	})
	b.Run("feed", func(b *testing.B) {
		c := mustChanges(b, r, feed.Position{})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Changes(b.Context(), c.Next); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func floor(b *testing.B, db *sql.DB, ids []string) {
	b.Helper()
	statement, err := db.Prepare(`SELECT kind, name, scopes, created_at, version, seal FROM keys WHERE id = ?`)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = statement.Close() }()
	ctx := context.WithoutCancel(b.Context())
	for i := 0; b.Loop(); i++ {
		var kind, name, scopes string
		var createdAt, version int64
		var seal []byte
		err := statement.QueryRowContext(ctx, []byte(ids[i%len(ids)])).Scan(&kind, &name, &scopes, &createdAt, &version, &seal)
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIssue makes keys through the Manager, each durable when Issue returns:
// by one writer, and by 32 at once, who take turns.
func BenchmarkIssue(b *testing.B) {
	b.Run("writers=1", func(b *testing.B) { benchmarkIssue(b, 1) })
	b.Run("writers=32", func(b *testing.B) { benchmarkIssue(b, 32) })
}

func benchmarkIssue(b *testing.B, writers int) {
	m := manager(b, open(b, create(b)))
	var made atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range writers {
		wg.Go(func() {
			for n := made.Add(1); n <= int64(b.N); n = made.Add(1) {
				if _, err := m.Issue(b.Context(), admin.IssueRequest{Name: strconv.FormatInt(n, 10), Scopes: []string{"tools:*"}}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "keys/s")
}
