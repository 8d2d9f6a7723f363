package sqlite_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// An administrator makes a key store and issues a key; a guarded server opens the
// same files for queries only.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "keys.db")

	if err := sqlite.Create(path, nil); err != nil {
		log.Fatal(err)
	}
	store, err := sqlite.Open(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	adminKey, err := admin.NewLocal(store, "local:ann(1000)", nil)
	if err != nil {
		log.Fatal(err)
	}
	issued, err := adminKey.Issue(context.Background(), admin.IssueRequest{Name: "ci", Scopes: []string{"tools:get_*"}})
	if err != nil {
		log.Fatal(err)
	}

	reader, err := sqlite.OpenVerifier(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	key, err := reader.Key(context.Background(), issued.Key.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key.Name, key.Scopes)
	// Output: ci [tools:get_*]
}

// A key store is backed up while it is in use, and restored while it is in use. What was
// revoked in between stays revoked.
func ExamplePrepareRestore() {
	dir, err := os.MkdirTemp("", "mcpkeys-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path, ctx := filepath.Join(dir, "keys.db"), context.Background()
	if err := sqlite.Create(path, nil); err != nil {
		log.Fatal(err)
	}
	store, err := sqlite.Open(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	adminKey, err := admin.NewLocal(store, "local:ann(1000)", nil)
	if err != nil {
		log.Fatal(err)
	}
	issued, err := adminKey.Issue(ctx, admin.IssueRequest{Name: "ci"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := store.Backup(ctx, filepath.Join(dir, "backup.db"), nil); err != nil {
		log.Fatal(err)
	}
	if _, err := adminKey.Revoke(ctx, issued.Key.ID, "laptop lost"); err != nil {
		log.Fatal(err)
	}

	restoration, err := sqlite.PrepareRestore(ctx, path, filepath.Join(dir, "backup.db"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer restoration.Close()
	fmt.Println("revoked since:", len(restoration.Undone.Revoked))
	if _, err := restoration.Run(ctx, sqlite.RestoreOptions{Actor: "local:ann(1000)"}); err != nil {
		log.Fatal(err)
	}
	key, err := store.Key(ctx, issued.Key.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("restored:", key.Name, key.RevokedReason)
	// Output:
	// revoked since: 1
	// restored: ci laptop lost
}
