package verifier_test

import (
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
)

// TestKnownStrangersAreFree: a client that keeps coming with a key that does not exist
// pays once. Were it to pay each time, it would shut out all that share its address.
func TestKnownStrangersAreFree(t *testing.T) {
	b := newBench(t)
	v := b.limited(t, 2)
	known := stranger()
	for range 50 {
		wantCode(t, v, known, from("192.0.2.1"), keys.CodeNotFound, "the same stranger again")
	}
	b.wantReads(t, 1)
	wantCode(t, v, stranger(), from("192.0.2.1"), keys.CodeNotFound, "another stranger")
	wantCode(t, v, stranger(), from("192.0.2.1"), keys.CodeRateLimited, "one too many, or this test shows nothing")
}
