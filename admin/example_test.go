package admin_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// A key is issued, found by the name that a user types, and revoked.
func ExampleNewLocal() {
	dir, err := os.MkdirTemp("", "mcpkeys-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "mcpkeys.db")
	if err := sqlite.Create(path, nil); err != nil {
		log.Fatal(err)
	}
	store, err := sqlite.Open(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	manager, err := admin.NewLocal(store, "example", nil)
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	issued, err := manager.Issue(ctx, admin.IssueRequest{Name: "ci", Owner: "team-a", Scopes: []string{mcpscope.ToolPattern("get_*")}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(issued.Key.Label(), issued.Key.Scopes, issued.Token) // only Reveal shows a token
	k, err := admin.Resolve(ctx, manager, "team-a/ci")
	if err != nil {
		log.Fatal(err)
	}
	k, err = manager.Revoke(ctx, k.ID, "left the team")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(k.RevokedReason)
	// Output:
	// team-a/ci [tools:get_*] [redacted]
	// left the team
}
