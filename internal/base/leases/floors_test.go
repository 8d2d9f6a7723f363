package leases_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/leases"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// The floor is in the slot before the store is read: a change that this look does not see comes
// later, and its committer finds the lease.
func TestFloorIsPublishedBeforeTheLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		if got := f.slot.see(); got != leases.FloorNone {
			t.Fatalf("without leases: got floor %d, want none", got)
		}
		f.feed.change("one")
		seen := leases.FloorNone
		f.feed.mu.Lock()
		f.feed.onLook = func() { seen = min(seen, f.slot.see()) }
		f.feed.mu.Unlock()
		f.verifier("caller").ask(t)
		if seen != 1 {
			t.Errorf("during the look: got floor %d, want that of a verifier that applied nothing", seen)
		}
	})
}

func TestFloorIsTheLowestApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		a, b := f.verifier("caller"), f.verifier("caller")
		a.renew(t)
		b.renew(t)
		first := f.feed.at()
		second := f.feed.change("one")
		a.renew(t)
		if got := f.slot.see(); got != uint64(first) {
			t.Errorf("one of two processes with one key applied the change: got floor %d, want %d", got, first)
		}
		b.renew(t)
		if got := f.slot.see(); got != uint64(second) {
			t.Errorf("both applied it: got floor %d, want %d", got, second)
		}
	})
}

// A lease counts for 5 % longer than the verifier counts it, from the arrival of the renewal.
// Then the floor no longer waits for the verifier.
func TestLeaseLeavesTheFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		gone, here := f.verifier("caller"), f.verifier("caller")
		gone.renew(t)
		first, second := f.feed.at(), f.feed.change("one")
		ended := time.Now().Add(feed.LongestLease)
		for time.Now().Before(ended.Add(-time.Millisecond)) {
			here.renew(t)
			if got := f.slot.see(); got != uint64(first) {
				t.Fatalf("%v before its lease ends: got floor %d, want %d", time.Until(ended), got, first)
			}
			time.Sleep(min(protocol.RenewEvery, time.Until(ended)-time.Millisecond))
		}
		time.Sleep(10 * time.Millisecond)
		if got := f.slot.see(); got != uint64(second) {
			t.Errorf("after its lease: got floor %d, want %d", got, second)
		}
		time.Sleep(feed.LongestLease)
		if got := f.slot.see(); got != leases.FloorNone {
			t.Errorf("after all leases: got floor %d, want none", got)
		}
	})
}

// Servers of before may have granted leases: the floor is unknown for so long, although leases
// are granted.
func TestFloorIsUnknownAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := begin(t)
		v := f.verifier("caller")
		for began := time.Now(); time.Since(began) < feed.LongestLease-5*time.Millisecond; time.Sleep(100 * time.Millisecond) {
			v.renew(t)
			if g := v.ask(t); g.Lease != leased || f.slot.see() != leases.FloorUnknown {
				t.Fatalf("after %v: got lease %d, floor %d, want a lease and an unknown floor", time.Since(began), g.Lease, f.slot.see())
			}
		}
		time.Sleep(10 * time.Millisecond)
		if got := f.slot.see(); got != uint64(v.applied) {
			t.Errorf("after a lease and 5 %%: got floor %d, want %d", got, v.applied)
		}
	})
}

// What was applied of another generation, or before the feed lost its place, counts as nothing.
func TestFloorOfAnotherTimeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		v := f.verifier("caller")
		v.renew(t)
		f.feed.restore()
		time.Sleep(2 * 5 * time.Millisecond)
		if got := f.slot.see(); got != 1 {
			t.Errorf("after the restore: got floor %d, want 1", got)
		}
		v.ask(t)
		if got := f.slot.see(); got != 1 {
			t.Errorf("after a renewal that has not applied it: got floor %d, want 1", got)
		}
		v.renew(t)
		if got := f.slot.see(); got != uint64(f.feed.at()) {
			t.Errorf("after it was applied: got floor %d, want %d", got, f.feed.at())
		}
	})
}
