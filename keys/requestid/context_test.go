package requestid_test

import (
	"context"
	"sync"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
)

type otherKey struct{}

// A Context has the same values as separate contexts, also in derived contexts, and
// hides no value of the context that it wraps.
func TestContext(t *testing.T) {
	id, err := keys.NewIdentity(&keys.Key{ID: "8Jd0sLmQ2xYz", Kind: keys.KindKey})
	if err != nil {
		t.Fatal(err)
	}
	outer, cancel := context.WithCancel(context.WithValue(requestid.With(t.Context(), "outer"), otherKey{}, 1))
	ctx := &requestid.Context{Context: outer, Identity: id, Given: "given"}
	derived, stop := context.WithCancel(context.WithValue(ctx, otherKey{}, 2))
	defer stop()
	for name, c := range map[string]context.Context{"itself": ctx, "derived": derived} {
		if got, ok := keys.IdentityFrom(c); got != id || !ok {
			t.Errorf("IdentityFrom(%s): got %v, %v, want the identity", name, got, ok)
		}
		if got := requestid.From(c); got != "given" {
			t.Errorf("RequestIDFrom(%s): got %q, want given", name, got)
		}
	}
	if ctx.Value(otherKey{}) != 1 || derived.Value(otherKey{}) != 2 {
		t.Errorf("other values: got %v and %v, want 1 and 2", ctx.Value(otherKey{}), derived.Value(otherKey{}))
	}
	if got := requestid.From(requestid.With(ctx, "inner")); got != "inner" {
		t.Errorf("RequestIDFrom within: got %q, want inner", got)
	}
	cancel()
	if derived.Err() == nil {
		t.Error("a derived context outlives the one that ended")
	}
}

// A Shared has the identity and the id of another context, and nothing else of it.
func TestShared(t *testing.T) {
	id, err := keys.NewIdentity(&keys.Key{ID: "8Jd0sLmQ2xYz", Kind: keys.KindKey})
	if err != nil {
		t.Fatal(err)
	}
	own, end := context.WithCancel(context.WithValue(t.Context(), otherKey{}, "own"))
	of, cancel := context.WithCancel(context.WithValue(&requestid.Context{Context: t.Context(), Identity: id}, otherKey{}, "other"))
	cancel()
	ctx := &requestid.Shared{Context: own, Of: of}
	if got, ok := keys.IdentityFrom(ctx); got != id || !ok {
		t.Errorf("IdentityFrom: got %v, %v, want the identity", got, ok)
	}
	if got, want := requestid.From(ctx), requestid.From(of); got != want {
		t.Errorf("From: got %q, want %q", got, want)
	}
	if got := ctx.Value(otherKey{}); got != "own" || ctx.Err() != nil {
		t.Errorf("it has more of the other context: %v, %v", got, ctx.Err())
	}
	end()
	if ctx.Err() == nil {
		t.Error("it outlives its own context")
	}
}

// The id is made at the first call, and every call returns the same one.
func TestContextHasOneID(t *testing.T) {
	for given, kept := range map[string]bool{"ticket-4711": true, "": false, "two\nlines": false, keys.NewToken(keys.KindKey).Secret().Reveal(): false} {
		ctx := &requestid.Context{Context: t.Context(), Given: given}
		if _, ok := keys.IdentityFrom(ctx); ok {
			t.Error("IdentityFrom without an identity: got one, want none")
		}
		ids := make([]string, 8)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() { ids[i] = requestid.From(ctx) })
		}
		wg.Wait()
		for _, id := range ids {
			if id != ids[0] || id == "" || (id == given) != kept || keys.LooksLikeToken(id) {
				t.Errorf("RequestIDFrom(%q): got %q and %q, want one, and it kept: %v", given, ids[0], id, kept)
			}
		}
	}
}
