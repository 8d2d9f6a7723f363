package keys_test

import (
	"context"
	"fmt"
	"log"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
)

func ExampleCompileScopes() {
	granted, err := keys.CompileScopes([]string{"tools:get_*", "prompts:*"})
	if err != nil {
		log.Fatal(err)
	}
	for _, required := range []string{mcpscope.Tool("get_forecast"), mcpscope.Tool("set_reading"), mcpscope.Prompt("daily briefing")} {
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

// A handler reads which key is calling, and may check more scopes than its guard did.
func ExampleIdentityFrom() {
	handle := func(ctx context.Context) string {
		id, ok := keys.IdentityFrom(ctx)
		if !ok {
			return "no key"
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
	// no key
	// ci may look only
}
