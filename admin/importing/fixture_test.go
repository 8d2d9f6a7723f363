package importing_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)

// Hashes that other programs made, see the tests of package pepper.
const (
	springPassword = "{bcrypt}$2a$10$dXJ3SW6G7P50lGmMkkmwe.20cQQubK3.HZWzG3YB1tlRy.fqvM/BG"
	argonPassword  = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
)

func newManager(t *testing.T) (*admin.Local, *sqlite.Store) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.db")
	if err := sqlite.Create(path, nil); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	m, err := admin.NewLocal(store, "local:test(1)", &admin.Options{Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return m, store
}

func mustIssue(t *testing.T, m admin.Manager, req admin.IssueRequest) admin.Issued {
	t.Helper()
	issued, err := m.Issue(t.Context(), req)
	if err != nil {
		t.Fatalf("Issue(%q): %v", req.Name, err)
	}
	return issued
}

func events(t *testing.T, store store.Reader) []audit.Event {
	t.Helper()
	list, err := store.Events(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return list
}
