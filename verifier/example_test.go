package verifier_test

import (
	"context"
	"fmt"
	"log"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

func ExampleVerifier_Authenticate() {
	db, key, cleanup := guardtest.ExampleStore("weather", "reports:read")
	defer cleanup()
	store, err := sqlite.OpenVerifier(db, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	v, err := verifier.New(local.New(store, nil), nil)
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	d := v.Authenticate(ctx, key, verifier.Call{Audience: "weather"})
	fmt.Println(d.Code, d.Identity.Name())
	fmt.Println(d.Authorize("reports:write").Code)
	fmt.Println(v.Authenticate(ctx, key, verifier.Call{Audience: "mail"}).Code)
	// Output:
	// valid example
	// insufficient_scope
	// wrong_audience
}
