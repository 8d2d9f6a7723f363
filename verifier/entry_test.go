package verifier

import (
	"crypto/sha256"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
)

// TestA5SumsAreComparedWhole: two sums that differ in one bit, wherever it is, are two.
// Tokens with such sums cannot be made, so no test with tokens would show it.
func TestA5SumsAreComparedWhole(t *testing.T) {
	sum := sumOf("a token")
	var e entry
	e.proofs.Store(&[]proof{{sum: sum, secret: &keys.KeySecret{Number: 1}}})
	if e.proved(&sum) == nil {
		t.Error("the sum itself: got no proof")
	}
	for bit := range sha256.Size * 8 {
		other := sum
		other[bit/8] ^= 1 << (bit % 8)
		if e.proved(&other) != nil {
			t.Errorf("a sum that differs in bit %d: got a proof", bit)
		}
	}
}
