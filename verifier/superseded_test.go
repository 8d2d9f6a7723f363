package verifier_test

import (
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// TestB5SupersededIsRefused: a secret that a rotation ended is told by its number, and is
// refused, whether the verifier remembers the key or has to ask for it.
func TestB5SupersededIsRefused(t *testing.T) {
	b := newBench(t)
	id, old := b.issue(t, keys.IssueRequest{Name: "ci"})
	b.want(t, old, verifier.Call{}, keys.CodeValid)
	zero := keys.RotateRequest{Grace: new(time.Duration)}
	rotated, err := b.manager.Rotate(t.Context(), id, zero)
	if err != nil {
		t.Fatal(err)
	}
	b.want(t, rotated.Token.Reveal(), verifier.Call{}, keys.CodeValid)
	for range 2 {
		d := b.want(t, old, verifier.Call{}, keys.CodeSuperseded)
		if d.KeyID != id || d.Secret != 1 || d.Identity != nil {
			t.Errorf("got %+v, want secret 1 of key %s and no identity", d, id)
		}
	}
	b.want(t, rotated.Token.Reveal(), verifier.Call{}, keys.CodeValid)
}
