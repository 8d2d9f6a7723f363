package leases_test

import (
	"testing"
	"testing/synctest"
)

// A snapshot of a virtual machine that runs twice is one verifier to the server: its two copies
// have one instance. When one has applied a change, the other may use the old state until its own
// next renewal, or for the rest of its lease. docs/other-hosts.md says so.
func TestClonedVerifierIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		v := f.verifier("caller")
		v.renew(t)
		clone := *v
		f.feed.change("one")
		v.renew(t)
		v.renew(t)
		if got, want := f.slot.see(), uint64(f.feed.at()); got != want {
			t.Errorf("when one copy has applied the change: got the floor %d, want %d", got, want)
		}
		if g := clone.ask(t); !clone.names(g, "one") {
			t.Errorf("the other copy: got %+v, want that it drops the key at its next renewal", g)
		}
		if got, want := f.slot.see(), uint64(clone.applied); got != want {
			t.Errorf("when the other copy has renewed: got the floor %d, want its own %d", got, want)
		}
	})
}
