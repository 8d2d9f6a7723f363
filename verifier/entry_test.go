package verifier

import (
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier/internal/siphash"
)

// Each of a key's secrets has a proof of its own, found by the sum of its token and no other.
func TestProofs(t *testing.T) {
	hash, k := siphash.NewKey(), &keys.Key{Secrets: []keys.KeySecret{{Number: 1}, {Number: 2}}}
	e := newEntry(k)
	var used tally
	first, second, other := hash.Sum("first"), hash.Sum("second"), hash.Sum("other")
	for range 2 { // the second time nothing is added
		e.note(&k.Secrets[0], &first, &used)
		e.note(&k.Secrets[1], &second, &used)
	}
	if p := e.proved(&first); p == nil || p.terms.secret != 1 || !p.terms.newer {
		t.Errorf("the first secret: got %+v", p)
	}
	if p := e.proved(&second); p == nil || p.terms.secret != 2 || p.terms.newer {
		t.Errorf("the second secret: got %+v", p)
	}
	if p := e.proved(&other); p != nil {
		t.Errorf("another token: got a proof of secret %d", p.terms.secret)
	}
	n := 0
	for p := e.proofs.Load(); p != nil; p = p.next {
		n++
	}
	if n != 2 {
		t.Errorf("proofs: got %d, want 2", n)
	}
}
