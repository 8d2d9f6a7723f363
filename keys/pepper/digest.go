package pepper

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Digest is the keyed hash that is stored in place of a secret. It is not secret, but
// prints nothing, to keep lists and logs clean.
type Digest [sha256.Size]byte

// Equal compares in constant time with a digest as it was stored.
func (d Digest) Equal(stored []byte) bool {
	return subtle.ConstantTimeCompare(d[:], stored) == 1
}

// Format implements [fmt.Formatter] for every verb.
func (d Digest) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "[digest]") }

// Digest makes the digest under which a newly issued token is stored, and names
// the pepper that it was made with.
func (p *Set) Digest(token keys.Secret) (d Digest, pepperID string) {
	return p.current.digest(token.Reveal()), p.current.id
}

// Verify finds the one of k's secrets that token proves, or nil. It looks only at the
// digests; [keys.Key.Admit] judges the state of the secret. It skips secrets with a slow
// hash: use [ProvenBy] for them, and limit its cost.
//
// A nil k, for an unknown id, takes as long as a known one: the token is digested and
// compared with a dummy.
func (p *Set) Verify(k *keys.Key, token keys.Secret) *keys.KeySecret {
	text := token.Reveal()
	if k == nil {
		var dummy Digest
		p.current.digest(text).Equal(dummy[:])
		return nil
	}
	var found *keys.KeySecret
	for i := range k.Secrets {
		s := &k.Secrets[i]
		pepper, ok := p.byID[s.PepperID]
		if !ok || s.Scheme.Slow() {
			continue
		}
		if pepper.fast(s.Scheme, text).Equal(s.Digest) {
			found = s
		}
	}
	return found
}

// BodyHash is the hash that is kept of the body of a request that must not be carried out
// twice, and the id of its pepper.
func (p *Set) BodyHash(body []byte) (hash Digest, pepperID string) {
	return p.current.once(string(body)), p.current.id
}

// IsBody reports whether hash was made of body by [Set.BodyHash] under the pepper with
// that id. Known is false without that pepper.
func (p *Set) IsBody(body []byte, pepperID string, hash []byte) (same, known bool) {
	one, known := p.byID[pepperID]
	return known && one.once(string(body)).Equal(hash), known
}
