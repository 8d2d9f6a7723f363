package keys_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// A key's whole life so far: issued once, looked up by the name that a person types,
// and ended.
func ExampleNewManager() {
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
	issued, err := manager.Issue(ctx, admin.IssueRequest{Name: "ci", Owner: "team-a", Scopes: []string{keys.ToolPattern("get_*")}})
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

func ExampleCompileScopes() {
	granted, err := keys.CompileScopes([]string{"tools:get_*", "prompts:*"})
	if err != nil {
		log.Fatal(err)
	}
	for _, required := range []string{keys.ToolScope("get_forecast"), keys.ToolScope("set_reading"), keys.PromptScope("daily briefing")} {
		fmt.Println(required, granted.Allows(required))
	}
	// Output:
	// tools:get_forecast true
	// tools:set_reading false
	// prompts:daily%20briefing true
}

func ExampleParseToken() {
	_, err := keys.ParseToken("mcpk_EXAMPLEonly0_ThisKeyIsDeadByConstruction0000000")
	fmt.Println(err)
	// Output:
	// not a well-formed mcpkeys token
}

// A handler asks who is calling, and may ask for more than its guard did.
func ExampleIdentityFrom() {
	handle := func(ctx context.Context) string {
		id, ok := keys.IdentityFrom(ctx)
		if !ok {
			return "nobody"
		}
		if !id.Allows("reports:export") {
			return id.Name() + " may look only"
		}
		return id.Name() + " may export"
	}
	id, err := keys.NewIdentity(&keys.Key{Name: "ci", Scopes: []string{"reports:read"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(handle(context.Background()))
	fmt.Println(handle(keys.NewContext(context.Background(), id)))
	// Output:
	// nobody
	// ci may look only
}
