package pepper

import (
	"crypto/sha256"
	"crypto/subtle"
)

// minPass is the length of the shortest pass that [Set.IsPass] accepts, in bytes.
const minPass = 16

// Pass is what a server gives a verifier that proved a secret: an HMAC of message, which names
// the verifier and the key. Only a program with the peppers can make it. The verifier shows it
// when it asks about the key again.
func (p *Set) Pass(message []byte) [sha256.Size]byte { return p.current.pass(string(message)) }

// IsPass reports whether pass is what [Set.Pass] returned for message, or at least its first 16
// bytes, under any of the peppers. Its time does not depend on pass, except on its length.
func (p *Set) IsPass(message, pass []byte) bool {
	if len(pass) < minPass || len(pass) > sha256.Size {
		return false
	}
	found := 0
	for _, one := range p.order {
		made := one.pass(string(message))
		found |= subtle.ConstantTimeCompare(made[:len(pass)], pass)
	}
	return found == 1
}
