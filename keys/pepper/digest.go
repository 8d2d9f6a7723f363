package pepper

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Digest is what stands in for a secret: a keyed hash. It is no secret itself, but
// prints nothing, so that lists and logs stay clean.
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

// Verify finds the one of k's secrets that token proves, or nil. It looks at the
// digests alone, whatever their state: what a dead secret opens is for
// [keys.Key.Admit] to say. Secrets under a slow hash are passed over: [ProvenBy]
// is for them, where somebody watches over what it costs.
//
// A nil k, an unknown id, costs what a known one costs: the token is digested and
// compared with nothing.
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

// BodyHash is what is kept of the body of a request that must not be carried out twice, and
// names the pepper that it was made with.
func (p *Set) BodyHash(body []byte) (hash Digest, pepperID string) {
	return p.current.once(string(body)), p.current.id
}

// IsBody reports whether hash was made of body by [Set.BodyHash] under the pepper with
// that id. Without that pepper it is not known.
func (p *Set) IsBody(body []byte, pepperID string, hash []byte) (same, known bool) {
	one, known := p.byID[pepperID]
	return known && one.once(string(body)).Equal(hash), known
}
