package sqlite_test

import (
	"database/sql"
	"errors"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// tamperable is a store of three keys, a, b and c, as an attacker with a database
// shell finds it.
func tamperable(t *testing.T) (*sqlite.Store, string, map[string][]byte) {
	t.Helper()
	path := create(t)
	s := open(t, path)
	ids := map[string][]byte{}
	for _, name := range []string{"a", "b", "c"} {
		issued := issue(t, s, admin.IssueRequest{
			Name: name, Owner: "ann", Scopes: []string{"tools:get_x"}, Audience: []string{"weather"},
			AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Metadata: map[string]string{"team": "x"},
			RateLimit: keys.RateLimit{Count: 1, Window: 1e9, Burst: 1},
		})
		ids[name] = []byte(issued.Key.ID)
	}
	return s, path, ids
}

// A27. The attack: an attacker can write the database, by an SQL injection in another
// program or by a shell, but has not read the pepper. They give their own key more
// scopes or a longer life, undo its revocation, give it another owner, or
// put the digest of a secret that they know into a mightier key's row. Each such
// key, and no other, is known as tampered, and the feed tells every cache of it.
func TestA27EditedRowsAreTampered(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, statement string
		want            []string
	}{
		{"nothing", `UPDATE keys SET name = name WHERE id = :a`, nil},
		{"more scopes", `UPDATE keys SET scopes = '["*"]' WHERE id = :a`, []string{"a"}},
		{"longer life", `UPDATE keys SET expires_at = expires_at + 1 WHERE id = :a`, []string{"a"}},
		{"endless life", `UPDATE keys SET expires_at = NULL WHERE id = :a`, []string{"a"}},
		{"another owner", `UPDATE keys SET owner = 'bob' WHERE id = :a`, []string{"a"}},
		{"another name", `UPDATE keys SET name = 'z' WHERE id = :a`, []string{"a"}},
		{"an admin key", `UPDATE keys SET kind = 'admin' WHERE id = :a`, []string{"a"}},
		{"any server", `UPDATE keys SET audience = '[]' WHERE id = :a`, []string{"a"}},
		{"any address", `UPDATE keys SET allowed_ips = '[]' WHERE id = :a`, []string{"a"}},
		{"no limit", `UPDATE keys SET rate_count = 0, rate_window = 0, rate_burst = 0 WHERE id = :a`, []string{"a"}},
		{"other metadata", `UPDATE keys SET metadata = '{}' WHERE id = :a`, []string{"a"}},
		{"another past", `UPDATE keys SET created_at = created_at - 1 WHERE id = :a`, []string{"a"}},
		{"another maker", `UPDATE keys SET created_by = 'x' WHERE id = :a`, []string{"a"}},
		{"revoked without us", `UPDATE keys SET revoked_at = 1 WHERE id = :a`, []string{"a"}},
		{"disabled without us", `UPDATE keys SET disabled_at = 1 WHERE id = :a`, []string{"a"}},
		{"another version", `UPDATE keys SET version = version + 1 WHERE id = :a`, []string{"a"}},
		{"another seal", `UPDATE keys SET seal = randomblob(32) WHERE id = :a`, []string{"a"}},
		{"an unknown pepper", `UPDATE keys SET seal_pepper = 'x' WHERE id = :a`, []string{"a"}},
		{"the seal of another key", `UPDATE keys SET seal = (SELECT seal FROM keys WHERE id = :b) WHERE id = :a`, []string{"a"}},
		{"swapped digests", `UPDATE secrets SET digest = o.digest FROM secrets o
			WHERE (secrets.key_id = :a AND o.key_id = :b) OR (secrets.key_id = :b AND o.key_id = :a)`, []string{"a", "b"}},
		{"another's digest", `UPDATE secrets SET digest = (SELECT digest FROM secrets WHERE key_id = :b) WHERE key_id = :a`, []string{"a"}},
		{"a longer grace", `UPDATE secrets SET expires_at = 1 WHERE key_id = :a`, []string{"a"}},
		{"another scheme", `UPDATE secrets SET scheme = 'sha256' WHERE key_id = :a`, []string{"a"}},
		{"a lookup", `UPDATE secrets SET lookup = x'00' WHERE key_id = :a`, []string{"a"}},
		{"no secret", `DELETE FROM secrets WHERE key_id = :a`, []string{"a"}},
		{"a second secret", `INSERT INTO secrets SELECT :a, 2, scheme, pepper_id, digest, lookup, created_at, expires_at FROM secrets WHERE key_id = :b`, []string{"a"}},
		{"another's secret", `UPDATE secrets SET key_id = :a, number = 2 WHERE key_id = :b`, []string{"a", "b"}},
		{"a copied key", `INSERT INTO keys SELECT :copy, kind, 'copy', owner, owner_id, scopes, audience, allowed_ips, metadata, rate_count,
			rate_window, rate_burst, max_concurrent, max_key_life, quiet, created_at, created_by, batch, expires_at, disabled_at, revoked_at,
			revoked_reason, version, seal_format, seal_pepper, seal FROM keys WHERE id = :a`, []string{"copy"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, path, ids := tamperable(t)
			ids["copy"] = []byte("copycopycopy")
			seq := mustChanges(t, s, feed.Position{}).Next
			result, err := shell(t, path).Exec(c.statement, named(ids)...)
			if err != nil {
				t.Fatalf("shell: %v", err)
			}
			if n, _ := result.RowsAffected(); n == 0 {
				t.Fatal("shell: nothing changed")
			}
			if got := tampered(t, s, ids); !slices.Equal(got, c.want) {
				t.Errorf("tampered: got %q, want %q", got, c.want)
			}
			told := mustChanges(t, s, seq)
			for _, name := range c.want {
				if !slices.Contains(told.IDs, string(ids[name])) || told.Lost {
					t.Errorf("the feed does not tell of %s: got %+v", name, told)
				}
			}
		})
	}
}

// tampered returns by what names ids has the keys whose seal is broken.
func tampered(t *testing.T, s *sqlite.Store, ids map[string][]byte) []string {
	t.Helper()
	page, err := s.List(t.Context(), keys.Query{})
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	broken := map[string]bool{}
	for _, k := range page.Keys {
		broken[k.ID] = errors.Is(s.Peppers().CheckSeal(k), keys.ErrTampered)
	}
	var out []string
	for name, id := range ids {
		if broken[string(id)] {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// named gives a statement the ids it names.
func named(ids map[string][]byte) []any {
	var out []any
	for name, id := range ids {
		out = append(out, sql.Named(name, id))
	}
	return out
}

// A27. The attack: a row is renamed or deleted, so that a cache that is told only the new id
// continues to accept the old one.
func TestA27RenamedAndDeletedRowsAreTold(t *testing.T) {
	s, path, ids := tamperable(t)
	db := shell(t, path)
	mustExec(t, db, `PRAGMA foreign_keys = OFF`)
	for _, c := range []struct {
		statement string
		id        []byte
		want      []string
	}{
		{`UPDATE keys SET id = CAST('renamedkeyid' AS BLOB) WHERE id = ?`, ids["a"], []string{"renamedkeyid", string(ids["a"])}},
		{`DELETE FROM secrets WHERE key_id = ?`, ids["a"], []string{string(ids["a"])}},
		{`DELETE FROM keys WHERE id = ?`, ids["b"], []string{string(ids["b"])}},
		{`INSERT OR REPLACE INTO keys SELECT * FROM keys WHERE id = ?`, ids["c"], []string{string(ids["c"])}},
	} {
		seq := mustChanges(t, s, feed.Position{}).Next
		mustExec(t, db, c.statement, c.id)
		got := mustChanges(t, s, seq).IDs
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.statement, got, c.want)
		}
	}
}

// A27. The attack: a column is filled with what this program cannot read, in the
// hope that it falls over, or reads it as "no restriction". The key is refused; it
// can still be seen and revoked, and all others go on.
func TestA27UnreadableColumns(t *testing.T) {
	t.Parallel()
	empty := []string{`scopes = '{}'`, `metadata = '[]'`, `metadata = 'null'`} // read as none, which the seal denies
	for _, set := range append(empty,
		`allowed_ips = '["everywhere"]'`, `allowed_ips = '["10.0.0.0/8", "10.0.0.0/99"]'`, `allowed_ips = '[7]'`,
		`scopes = '[{"a": 1}]'`, `audience = '[["weather"]]'`, `metadata = '{"team": 7}'`,
		`scopes = '["tools'`, `scopes = ''`, `kind = 'root'`, `name = ''`, `owner_id = x'00'`, `max_key_life = -1`,
	) {
		t.Run(set, func(t *testing.T) {
			s, path, ids := tamperable(t)
			db := shell(t, path)
			mustExec(t, db, `PRAGMA ignore_check_constraints = ON`)
			mustExec(t, db, `UPDATE keys SET `+set+` WHERE id = ?`, ids["a"])
			id := string(ids["a"])
			k, err := s.Key(t.Context(), id)
			if err == nil && slices.Contains(empty, set) {
				err = s.Peppers().CheckSeal(k)
			}
			if !errors.Is(err, keys.ErrTampered) {
				t.Errorf("Key: got %v, want ErrTampered", err)
			}
			if got := tampered(t, s, ids); !slices.Equal(got, []string{"a"}) {
				t.Errorf("tampered: got %q, want a alone", got)
			}
			page, err := s.List(t.Context(), keys.Query{Scope: "tools:get_x", Audience: "weather"})
			if err != nil || len(page.Keys) < 2 {
				t.Errorf("List by scope and audience: got %d keys, %v, want the two others at least", len(page.Keys), err)
			}
			if k, err := manager(t, s).Revoke(t.Context(), id, "edited"); err != nil || k.RevokedAt.IsZero() {
				t.Errorf("Revoke: got %v, want the edited key revoked", err)
			}
			if events, err := s.Events(t.Context(), 3, 10); err != nil || len(events) != 1 || !strings.Contains(events[0].Detail, `"tampered":true`) {
				t.Errorf("Events: got %v, %v, want one that says tampered", events, err)
			}
		})
	}
}

// The schema itself refuses what mcpkeys never writes.
func TestSchemaRefuses(t *testing.T) {
	_, path, ids := tamperable(t)
	db := shell(t, path)
	for _, statement := range []string{
		`UPDATE keys SET scopes = '["tools' WHERE id = :a`, `UPDATE keys SET metadata = '[]' WHERE id = :a`,
		`UPDATE keys SET id = 'text' WHERE id = :a`, `UPDATE keys SET id = x'00' WHERE id = :a`,
		`UPDATE keys SET expires_at = 'tomorrow' WHERE id = :a`, `UPDATE keys SET kind = 'root' WHERE id = :a`,
		`UPDATE keys SET seal = x'00' WHERE id = :a`, `UPDATE secrets SET digest = x'00' WHERE key_id = :a`,
		`UPDATE keys SET version = 0 WHERE id = :a`, `UPDATE keys SET name = 'b' WHERE id = :a`,
		`INSERT INTO secrets SELECT :a, n.i, scheme, pepper_id, digest, lookup, created_at, expires_at
			FROM secrets, (SELECT 2 AS i UNION SELECT 3) n WHERE key_id = :b`,
		`UPDATE audit SET detail = '{'`, `UPDATE audit SET hash = x'00'`,
	} {
		if _, err := db.Exec(statement, named(ids)...); err == nil {
			t.Errorf("%s: got no error", statement)
		}
	}
}

// A27. The attack: after a change was made, its audit row is edited, removed or
// replaced. The chain names the first row that does not hold.
func TestA27EditedAuditIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		statement string
		want      int64
	}{
		{`UPDATE audit SET actor = 'somebody' WHERE seq = 2`, 2},
		{`UPDATE audit SET action = 'key.other' WHERE seq = 2`, 2},
		{`UPDATE audit SET at = at + 1 WHERE seq = 1`, 1},
		{`UPDATE audit SET key_id = 'x' WHERE seq = 3`, 3},
		{`UPDATE audit SET request_id = 'x' WHERE seq = 2`, 2},
		{`UPDATE audit SET detail = '{}' WHERE seq = 2`, 2},
		{`UPDATE audit SET id = randomblob(16) WHERE seq = 2`, 2},
		{`UPDATE audit SET hash = randomblob(32) WHERE seq = 2`, 2},
		{`UPDATE audit SET prev = randomblob(32) WHERE seq = 2`, 2},
		{`DELETE FROM audit WHERE seq = 2`, 2},
		{`DELETE FROM audit WHERE seq = 1`, 1},
		{`UPDATE audit SET seq = 99 WHERE seq = 2`, 2},
	} {
		t.Run(c.statement, func(t *testing.T) {
			s, path, _ := tamperable(t)
			if _, err := audit.VerifyChain(chain(t, s)); err != nil {
				t.Fatalf("VerifyChain before: %v", err)
			}
			mustExec(t, shell(t, path), c.statement)
			_, err := audit.VerifyChain(chain(t, s))
			var broken *audit.ChainError
			if !errors.As(err, &broken) || broken.Seq != c.want {
				t.Errorf("VerifyChain: got %v, want row %d named", err, c.want)
			}
		})
	}
}

func chain(t *testing.T, s store.Reader) iter.Seq2[audit.Event, error] {
	t.Helper()
	events, err := s.Events(t.Context(), 0, 1_000_000)
	return func(yield func(audit.Event, error) bool) {
		if err != nil {
			yield(audit.Event{}, err)
			return
		}
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// A revoke writes the key's row and nothing else, so that every cache drops one entry
// once.
func TestRevokeIsOneChange(t *testing.T) {
	s, _, ids := tamperable(t)
	seq := mustChanges(t, s, feed.Position{}).Next
	if _, err := manager(t, s).Revoke(t.Context(), string(ids["a"]), ""); err != nil {
		t.Fatal(err)
	}
	if c := mustChanges(t, s, seq); c.Next.Seq != seq.Seq+1 || !slices.Equal(c.IDs, []string{string(ids["a"])}) {
		t.Errorf("Changes: got %+v, want one, of a", c)
	}
}

// The feed must not skip deleted rows: a reader then drops all it remembers, and without a
// number it knows nothing.
func TestCutFeedIsLost(t *testing.T) {
	s, path, _ := tamperable(t)
	db := shell(t, path)
	newest := mustChanges(t, s, feed.Position{}).Next
	ids := map[int64]string{}
	for _, seq := range []int64{2, 3, 4} {
		var id string
		if err := db.QueryRow(`SELECT lower(hex(id)) FROM events WHERE seq = ?`, seq).Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids[seq] = id
	}
	ids[newest.Seq] = newest.Event
	mustExec(t, db, `DELETE FROM events WHERE seq = 3`)
	for seq, lost := range map[int64]bool{0: true, 2: true, 3: true, 4: false, newest.Seq: false} {
		since := feed.Position{Generation: newest.Generation, Seq: seq, Event: ids[seq]}
		if c := mustChanges(t, s, since); c.Lost != lost || c.Next != newest {
			t.Errorf("Changes(%v): got %+v, want lost %v and position %v", since, c, lost, newest)
		}
	}
	mustExec(t, db, `DELETE FROM meta WHERE name = 'change_seq'`)
	for _, since := range []feed.Position{{}, {Generation: newest.Generation}, newest} {
		if _, err := s.Changes(t.Context(), since); !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("Changes(%v) without a number: got %v, want ErrUnavailable", since, err)
		}
	}
}

// A database that breaks while it is in use is unavailable; it is never an empty
// one in which a revoked key is merely not found.
func TestBrokenDatabaseIsUnavailable(t *testing.T) {
	s, path, ids := tamperable(t)
	db := shell(t, path)
	mustExec(t, db, `PRAGMA foreign_keys = OFF`)
	mustExec(t, db, `DROP TABLE secrets`)
	mustExec(t, db, `ALTER TABLE audit RENAME TO gone`)
	for what, call := range map[string]func() error{
		"Key":    func() error { _, err := s.Key(t.Context(), string(ids["a"])); return err },
		"List":   func() error { _, err := s.List(t.Context(), keys.Query{}); return err },
		"Events": func() error { _, err := s.Events(t.Context(), 0, 1); return err },
		"Revoke": func() error { _, err := manager(t, s).Revoke(t.Context(), string(ids["a"]), ""); return err },
		"Issue":  func() error { _, err := manager(t, s).Issue(t.Context(), admin.IssueRequest{Name: "x"}); return err },
	} {
		if err := call(); !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrUnavailable", what, err)
		}
	}
}

func TestBusyDatabaseIsUnavailable(t *testing.T) {
	s, path, ids := tamperable(t)
	mustExec(t, s.Writer(), `PRAGMA busy_timeout = 10`) // as the one connection would after five seconds
	db := shell(t, path)
	mustExec(t, db, `BEGIN IMMEDIATE`)
	if _, err := manager(t, s).Revoke(t.Context(), string(ids["a"]), ""); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("Revoke: got %v, want ErrUnavailable", err)
	}
	if _, err := s.Key(t.Context(), string(ids["a"])); err != nil {
		t.Errorf("Key during a write: got %v, want the key", err)
	}
	mustExec(t, db, `ROLLBACK`)
	if _, err := manager(t, s).Revoke(t.Context(), string(ids["a"]), "afterwards"); err != nil {
		t.Errorf("Revoke afterwards: %v", err)
	}
}
