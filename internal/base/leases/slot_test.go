package leases_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/leases"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// An answer may be kept only if that was published, also if it failed a moment before.
func TestHandedOutWithoutSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.slot.lose(true)
		until := time.Now().Add(time.Minute)
		for range 3 {
			if f.HandedOut(until) {
				t.Error("an answer may be kept, and no program that changes a key can know")
			}
		}
	})
}

// A server that lost its slot grants nothing, takes another slot, and does not know its leases
// there.
func TestWithoutOwnNonceNothingIsGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		v := f.verifier("caller")
		v.renew(t)
		f.slot.lose(true)
		for range 3 {
			if g := v.ask(t); g.Lease != 0 || g.Position == 0 {
				t.Errorf("without a slot: got %+v, want no lease", g)
			}
			time.Sleep(300 * time.Millisecond)
		}
		if !strings.Contains(f.log.String(), "no slot in the key store") {
			t.Errorf("got log %q, want a warning", f.log)
		}
		f.slot.lose(false)
		if g := v.ask(t); g.Lease != 0 {
			t.Errorf("when the slot is taken: got %+v, want no lease yet", g)
		}
		if g := v.ask(t); g.Lease != leased || f.slot.see() != leases.FloorUnknown || f.slot.now().renewals != 1 {
			t.Errorf("in the new slot: got lease %d, floor %d, %d renewals, want a lease and an unknown floor", g.Lease, f.slot.see(), f.slot.now().renewals)
		}
		time.Sleep(feed.Lease)
		v.ask(t)
		if got := f.slot.see(); got != leases.FloorUnknown {
			t.Errorf("within a lease: got floor %d, want unknown", got)
		}
		time.Sleep(feed.LongestLease - feed.Lease + 10*time.Millisecond)
		if got := f.slot.see(); got != uint64(v.applied) {
			t.Errorf("after a lease and 5 %%: got floor %d, want %d", got, v.applied)
		}
	})
}

// The slot is checked although no verifier renews, so that answers that may be kept are in it.
func TestLostSlotIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		until := time.Now().Add(time.Minute)
		f.HandedOut(until)
		f.slot.lose(false)
		time.Sleep(time.Second)
		if f.slot.now().renewals != 1 || f.slot.now().handed.Before(until) {
			t.Errorf("got %d renewals, answers until %v, want 1 and %v", f.slot.now().renewals, f.slot.now().handed, until)
		}
	})
}

// A slot is given up free only if no verifier can hold a lease.
func TestClose(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*testing.T, *fixture)
		free   bool
	}{
		"at the start":   {func(*testing.T, *fixture) {}, false},
		"without leases": {func(*testing.T, *fixture) { time.Sleep(feed.LongestLease) }, true},
		"with a lease": {func(t *testing.T, f *fixture) {
			time.Sleep(feed.LongestLease)
			f.verifier("caller").ask(t)
			time.Sleep(feed.Lease)
		}, false},
		"after a lease": {func(t *testing.T, f *fixture) {
			f.verifier("caller").ask(t)
			time.Sleep(feed.LongestLease)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := begin(t)
				c.before(t, f)
				if err := f.Close(); err != nil || !f.slot.now().closed || f.slot.now().free != c.free {
					t.Errorf("got %v, closed %v, free %v, want free %v", err, f.slot.now().closed, f.slot.now().free, c.free)
				}
				if _, err := f.verifier("caller").try(); !errors.Is(err, leases.ErrClosed) {
					t.Errorf("Renew: got %v, want ErrClosed", err)
				}
				if f.HandedOut(time.Now().Add(time.Minute)) {
					t.Error("HandedOut: got true")
				}
			})
		})
	}
}

// What is published of answers that may be kept is never too early, and is stored about once a
// second.
func TestHandedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		for range 1000 {
			until := time.Now().Add(time.Minute)
			if !f.HandedOut(until) || f.slot.now().handed.Before(until) || f.slot.now().handed.After(until.Add(time.Second)) {
				t.Fatalf("got %v, want %v or up to a second later", f.slot.now().handed, until)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if f.slot.now().stored > 12 {
			t.Errorf("stored %d times in 10 s, want about 10", f.slot.now().stored)
		}
		f.slot.lose(false)
		time.Sleep(time.Second)
		until := time.Now().Add(time.Minute)
		if !f.HandedOut(until) || f.slot.now().handed.Before(until) {
			t.Errorf("in a new slot: got %v, want %v", f.slot.now().handed, until)
		}
		f.slot.lose(true)
		if f.HandedOut(time.Now().Add(time.Hour)) {
			t.Error("without a slot: got true")
		}
	})
}

// A server without a slot grants nothing and logs nothing.
func TestNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := leases.New(newFeed(), leases.NoSlot{}, nil)
		g, err := r.Renew(t.Context(), leases.Renewal{Caller: "caller", Instance: protocol.NewInstance()})
		if err != nil || g.Lease != 0 || g.Position == 0 {
			t.Errorf("got %+v, %v, want no lease", g, err)
		}
		if r.HandedOut(time.Now().Add(time.Minute)) {
			t.Error("HandedOut: got true, although nothing expects it")
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		unable := leases.New(newFeed(), leases.NoSlot{Expected: true}, nil)
		if !unable.HandedOut(time.Now().Add(time.Minute)) {
			t.Error("HandedOut where no server can have a slot: got false")
		}
		_ = unable.Close()
	})
}
