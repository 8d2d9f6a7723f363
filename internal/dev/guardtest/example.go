package guardtest

import (
	"context"
	"os"
	"path/filepath"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// ExampleStore makes a key store with one key, named example, for the runnable examples
// of the documentation, which have no testing.TB. It panics on errors.
func ExampleStore(audience string, scopes ...string) (db, key string, cleanup func()) {
	dir, err := os.MkdirTemp("", "mcpkeys-example-")
	must(err)
	db = filepath.Join(dir, "keys.db")
	must(sqlite.Create(db, nil))
	store, err := sqlite.Open(db, nil)
	must(err)
	manager, err := admin.NewLocal(store, "example", nil)
	must(err)
	issued, err := manager.Issue(context.Background(), admin.IssueRequest{Name: "example", Audience: []string{audience}, Scopes: scopes})
	must(err)
	must(store.Close())
	return db, issued.Token.Reveal(), func() { must(os.RemoveAll(dir)) }
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
