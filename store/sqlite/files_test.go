package sqlite_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// A user who can read the files has the digests and the names; one who can read the pepper can
// forge keys. SQLite by itself would make them 0644.
func TestFilesAreForTheOwnerAlone(t *testing.T) {
	path := create(t)
	s := open(t, path)
	countUse(t, s, issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID)
	for _, suffix := range []string{"", "-wal", "-shm", ".pepper", ".usage", ".usage-wal", ".usage-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Errorf("keys.db%s: %v", suffix, err)
			continue
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("keys.db%s: got mode %04o, want 0600", suffix, got)
		}
	}
}

// A23. A database that was copied away, with its log, holds no part of any secret.
func TestSecretIsInNoFile(t *testing.T) {
	path := create(t)
	s := open(t, path)
	var secrets []string
	for i := range 20 {
		issued := issue(t, s, admin.IssueRequest{Name: fmt.Sprint("key ", i), Scopes: []string{"tools:a"}})
		secrets = append(secrets, issued.Token.Reveal())
		if _, err := manager(t, s).Revoke(t.Context(), issued.Key.ID, "done"); err != nil {
			t.Fatal(err)
		}
	}
	events, err := s.Events(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"audit": fmt.Append(nil, events), "keys.db-wal": read(t, path+"-wal")}
	if len(files["keys.db-wal"]) == 0 {
		t.Error("the log is empty, so nothing was looked at")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files["keys.db"], files["keys.db.pepper"] = read(t, path), read(t, path+".pepper")
	for name, content := range files {
		for _, secret := range secrets {
			id, text := secret[5:17], secret[18:]
			if name == "keys.db" && !bytes.Contains(content, []byte(id)) {
				t.Errorf("%s does not hold the id %s, so nothing was looked at", name, id)
			}
			for at := 0; at+8 <= len(text); at++ {
				if bytes.Contains(content, []byte(text[at:at+8])) {
					t.Errorf("%s holds a part of a secret", name)
				}
			}
		}
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// In a file URI these characters have a meaning of their own: SQLite would cut the
// name off at the first of them and open, or make, another file.
func TestOddPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a?b.db", "a#b.db", "a%b.db", "a%41.db", "a b.db", "a&mode=memory.db", "a?mode=memory", "ключ.db", "a'b\".db", "a+b;c.db", ":memory:", "file:x.db"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, name)
			if err := sqlite.Create(path, nil); err != nil {
				t.Fatalf("Create: %v", err)
			}
			s := open(t, path)
			id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
			r, err := sqlite.OpenVerifier(path, nil)
			if err != nil {
				t.Fatalf("OpenVerifier: %v", err)
			}
			if _, err := r.Key(t.Context(), id); err != nil {
				t.Errorf("Key: %v", err)
			}
			countUse(t, r, id)
			_ = r.Close()
			countUse(t, s, id)
			if page, err := s.List(t.Context(), keys.Query{}); err != nil || len(page.LastUsed) != 1 {
				t.Errorf("List: got %v, %v, want the last use in it", page.LastUsed, err)
			}
			if page, err := s.List(t.Context(), keys.Query{UnusedBy: time.Now().Add(-time.Hour)}); err != nil || len(page.Keys) != 0 {
				t.Errorf("List of unused keys: got %d, %v, want none", len(page.Keys), err)
			}
			_ = s.Close() // the last that may write, which clears up after all
			if got := names(snapshot(t, dir)); !slices.Equal(got, []string{name, name + "-epoch", name + "-lock", name + "-shm", name + "-wal", name + ".ballast", name + ".pepper", name + ".usage", name + ".usage-lock"}) {
				t.Errorf("got files %q, want %q, its log, its epoch, its ballast, its pepper and its usage", got, name)
			}
		})
	}
}

// A relative path stays where it was when the process goes elsewhere.
func TestRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := sqlite.Create("keys.db", nil); err != nil {
		t.Fatalf("Create: %v", err)
	}
	s := open(t, "keys.db")
	t.Chdir(t.TempDir())
	issue(t, s, admin.IssueRequest{Name: "ci"})
	if got := names(snapshot(t, ".")); len(got) != 0 {
		t.Errorf("got %q in the other directory, want nothing", got)
	}
}

// Durability and hardening hang on settings that SQLite and the driver have
// otherwise by default. They are per connection: every one must have them.
func TestSettings(t *testing.T) {
	s := open(t, create(t))
	common := map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000", "trusted_schema": "0",
		"cell_size_check": "1", "mmap_size": "0", "journal_size_limit": "67108864", "cache_size": "-65536", "application_id": "1835233387",
		"user_version": "1",
	}
	for name, pool := range map[string]*sql.DB{"writer": s.Writer(), "reader": s.Connections()} {
		want := map[string]string{"query_only": map[string]string{"writer": "0", "reader": "1"}[name]}
		for pragma, value := range common {
			want[pragma] = value
		}
		n := pool.Stats().MaxOpenConnections
		if name == "writer" && n != 1 {
			t.Errorf("writer: got %d connections, want 1", n)
		}
		for i := range n {
			c, err := pool.Conn(t.Context()) // kept, so that the next is another one
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			for pragma, value := range want {
				var got string
				if err := c.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != value {
					t.Errorf("%s %d: %s: got %q, %v, want %q", name, i, pragma, got, err, value)
				}
			}
		}
	}
}

// A guarded server that was taken over must not be able to write through the store
// it opened, whatever statement it finds a way to run.
func TestVerifierCannotWrite(t *testing.T) {
	path := create(t)
	s := open(t, path)
	id := issue(t, s, admin.IssueRequest{Name: "ci"}).Key.ID
	r, err := sqlite.OpenVerifier(path, nil)
	if err != nil {
		t.Fatalf("OpenVerifier: %v", err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if _, ok := any(r).(store.Store); ok {
		t.Error("a Reader is a Store")
	}
	c, err := r.Connections().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for _, statement := range []string{
		`UPDATE keys SET revoked_at = NULL`, `DELETE FROM audit`, `CREATE TABLE x (y)`, `PRAGMA user_version = 9`,
		`PRAGMA query_only = OFF; UPDATE keys SET name = 'x'`, `PRAGMA query_only = OFF; DELETE FROM events`,
	} {
		if _, err := c.ExecContext(t.Context(), statement); err == nil {
			t.Errorf("%s: got no error", statement)
		}
	}
	if _, err := manager(t, s).Revoke(t.Context(), id, "gone"); err != nil {
		t.Fatal(err)
	}
	if k, err := r.Key(t.Context(), id); err != nil || k.Name != "ci" || k.RevokedReason != "gone" {
		t.Errorf("Key: got %v, %v, want the revoked key at once", k, err)
	}
}
