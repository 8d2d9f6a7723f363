package sqlite_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mcpkeys/mcpkeys/keys"
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
	admin, err := keys.NewManager(store, "local:ann(1000)", nil)
	if err != nil {
		log.Fatal(err)
	}
	issued, err := admin.Issue(context.Background(), keys.IssueRequest{Name: "ci", Scopes: []string{"tools:get_*"}})
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
