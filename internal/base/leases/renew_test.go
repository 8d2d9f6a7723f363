package leases_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/leases"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// names reports whether g drops exactly the keys with these ids.
func (v *verifier) names(g protocol.Granted, ids ...string) bool {
	var want []protocol.Tag
	for _, id := range ids {
		want = append(want, v.instance.TagOf(id))
	}
	return !g.All && slices.Equal(g.Drop, want)
}

const leased = int64(feed.Lease / time.Millisecond)

func TestDropsWhatChangedAfterApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		v := f.verifier("caller")
		if g := v.ask(t); !g.All || g.Position != f.feed.at() || g.Lease != leased || g.Time.IsZero() {
			t.Fatalf("a new verifier: got %+v, want everything, and a lease", g)
		}
		v.renew(t)
		if g := v.ask(t); !v.names(g) || g.Lease != leased {
			t.Errorf("without changes: got %+v, want nothing, and a lease", g)
		}
		f.feed.change("one")
		f.feed.change("two", "one")
		g := v.ask(t)
		if !v.names(g, "one", "two") && !v.names(g, "two", "one") {
			t.Errorf("after changes: got %+v, want both keys once", g)
		}
		if again := v.ask(t); !slices.Equal(again.Drop, g.Drop) {
			t.Errorf("after a lost answer: got %+v, want the same", again)
		}
		v.applied, v.era = g.Position, g.Era
		if g := v.ask(t); !v.names(g) {
			t.Errorf("after they were applied: got %+v, want nothing", g)
		}
	})
}

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

// A change that was acknowledged before the renewal is in its answer, however fresh the last
// look was. Without one the last look is enough.
func TestLookCoversWhatWasAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		v := f.verifier("caller")
		v.renew(t)
		looks := f.feed.looked()
		v.ask(t)
		if f.feed.looked() != looks {
			t.Error("the store was read again although nothing changed")
		}
		f.feed.change("one")
		if g := v.ask(t); !v.names(g, "one") {
			t.Errorf("got %+v, want the change", g)
		}
		if at, err := f.Position(t.Context()); err != nil || at != f.feed.at() {
			t.Errorf("Position: got %v, %v, want %v", at, err, f.feed.at())
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

func TestDropsEverything(t *testing.T) {
	for name, c := range map[string]func(f *fixture, v *verifier){
		"another generation": func(f *fixture, _ *verifier) { f.feed.restore() },
		"the feed lost its place": func(f *fixture, _ *verifier) {
			f.feed.mu.Lock()
			f.feed.lost = true
			f.feed.mu.Unlock()
			f.feed.change("one")
		},
		"more changes than are kept": func(f *fixture, _ *verifier) {
			for i := range protocol.MaxDrop + 1 {
				f.feed.commit(fmt.Sprintf("key%d", i))
			}
			f.feed.announce()
		},
		"a verifier of another server": func(_ *fixture, v *verifier) { v.era = "another" },
		"a new verifier":               func(_ *fixture, v *verifier) { v.era = "" },
		"the store was changed outside mcpkeys, and repaired": func(f *fixture, v *verifier) {
			f.feed.fail(&feed.AlteredError{})
			_, _ = v.try()
			f.feed.fail(nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t)
				v := f.verifier("caller")
				v.renew(t)
				v.renew(t)
				c(f, v)
				g := v.ask(t)
				if !g.All || len(g.Drop) > 0 || g.Lease != leased {
					t.Fatalf("got %v, %d tags, lease %d, want everything, and a lease", g.All, len(g.Drop), g.Lease)
				}
				if again := v.ask(t); !again.All {
					t.Error("the answer was lost, and the next one did not drop everything")
				}
				f.feed.change("later")
				v.renew(t)
				if g := v.ask(t); g.All {
					t.Error("everything is dropped again after it was")
				}
			})
		})
	}
}

// The feed lost its place at an unchanged position. A verifier must drop everything until it says
// that it did, also if its lease ended and answers were lost. It does not have to do so twice.
func TestLossAtTheSamePosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		away, here := f.verifier("caller"), f.verifier("caller")
		away.renew(t)
		here.renew(t)
		f.feed.mu.Lock()
		f.feed.lost = true
		f.feed.mu.Unlock()
		f.feed.announce()
		time.Sleep(feed.LongestLease + time.Second)
		for range 3 { // the answers are lost
			if g := away.ask(t); !g.All {
				t.Fatal("a verifier that was away keeps what it remembered before the loss")
			}
		}
		if got := f.slot.see(); got != 1 {
			t.Errorf("before everything is dropped: got floor %d, want 1", got)
		}
		for _, v := range []*verifier{away, here} {
			v.renew(t)
			if g := v.ask(t); g.All {
				t.Error("a verifier that dropped everything has to drop everything again")
			}
		}
		if got := f.slot.see(); got != uint64(f.feed.at()) {
			t.Errorf("after everything was dropped: got floor %d, want %d", got, f.feed.at())
		}
	})
}

// A verifier whose lease ended is told what changed since.
func TestVerifierThatWasAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		v := f.verifier("caller")
		v.renew(t)
		f.feed.change("one")
		time.Sleep(time.Hour)
		if g := v.ask(t); !v.names(g, "one") {
			t.Errorf("got %+v, want one key", g)
		}
	})
}

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

// A position that the store has not reached is refused and does not lift the floor. One that
// another server read before it was announced is looked for.
func TestBeyond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		v := f.verifier("caller")
		v.renew(t)
		v.applied = f.feed.at() + 1
		if _, err := v.try(); !errors.Is(err, leases.ErrBeyond) {
			t.Errorf("got %v, want ErrBeyond", err)
		}
		if got := f.slot.see(); got != 1 {
			t.Errorf("got floor %d, want 1", got)
		}
		if at := f.feed.commit("one"); at != v.applied {
			t.Fatalf("got position %d, want %d", at, v.applied)
		}
		if g := v.ask(t); g.Position != v.applied || g.Lease != leased {
			t.Errorf("a change that is not announced: got %+v, want a lease", g)
		}
		if got := f.slot.see(); got != uint64(v.applied) {
			t.Errorf("got floor %d, want %d", got, v.applied)
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

// If the store cannot be read nothing is granted. What is noted stays: an earlier answer may
// have granted it.
func TestUnreadableStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		v := f.verifier("caller")
		v.renew(t)
		f.feed.fail(fmt.Errorf("%w: no disk", keys.ErrUnavailable))
		if _, err := v.try(); !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		if got := f.slot.see(); got != uint64(v.applied) {
			t.Errorf("got floor %d, want %d", got, v.applied)
		}
		if _, err := f.Position(t.Context()); !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("Position: got %v, want ErrUnavailable", err)
		}
		f.feed.fail(nil)
		if g := v.ask(t); g.All || g.Lease != leased {
			t.Errorf("when it can be read again: got %+v, want a lease", g)
		}
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		granted := func(caller string, n int) (count int) {
			for range n {
				if f.verifier(caller).ask(t).Lease > 0 {
					count++
				}
			}
			return count
		}
		if got := granted("greedy", 1005); got != 1000 {
			t.Errorf("one key: got %d leases, want 1000", got)
		}
		for i := range 9 {
			if got := granted(fmt.Sprintf("caller%d", i), 1000); got != 1000 {
				t.Errorf("another key: got %d leases, want 1000", got)
			}
		}
		if g := f.verifier("late").ask(t); g.Lease != 0 || !g.All {
			t.Errorf("one verifier too many: got %+v, want no lease", g)
		}
		if got := strings.Count(f.log.String(), "too many verifiers"); got != 1 {
			t.Errorf("got %d lines in the log, want 1", got)
		}
		time.Sleep(feed.LongestLease + 10*time.Millisecond)
		if got := granted("late", 1); got != 1 {
			t.Error("after the leases have ended: got no lease")
		}
	})
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		news, err := f.Follow(t.Context(), leases.Place{})
		at := news.Place
		if err != nil || at.Position != f.feed.at() || at.Era == "" || news.IDs != nil {
			t.Fatalf("got %+v, %v, want the place at once", news, err)
		}
		follow := func(ctx context.Context) error {
			t.Helper()
			news, err = f.Follow(ctx, at)
			if err == nil {
				at = news.Place
			}
			return err
		}
		began := time.Now()
		time.AfterFunc(time.Second, func() { f.feed.change("one") })
		if err := follow(t.Context()); err != nil || at.Position != f.feed.at() {
			t.Errorf("got %+v, %v, want the new position", news, err)
		}
		if took := time.Since(began) - time.Second; took < 0 || took > 10*time.Millisecond {
			t.Errorf("heard of the change after %v, want some milliseconds", took)
		}
		f.feed.commit("two") // a database shell
		if err := follow(t.Context()); err != nil || at.Position != f.feed.at() || time.Since(began) > 1300*time.Millisecond {
			t.Errorf("got %+v, %v after %v, want the change that was not announced", news, err, time.Since(began))
		}
		gone, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := follow(gone); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the end of the context", err)
		}
		time.AfterFunc(time.Second, func() { _ = f.Close() })
		if err := follow(t.Context()); !errors.Is(err, leases.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

// A stream is told the ids of the keys that changed since the place where it stands, or none if
// it must renew to find out.
func TestFollowNamesKeys(t *testing.T) {
	many := make([]string, protocol.MaxTags+1)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	for name, tc := range map[string]struct {
		change func(*changing)
		from   func(leases.Place) leases.Place
		want   []string
	}{
		"one key":             {change: func(f *changing) { f.change("a") }, want: []string{"a"}},
		"each key once":       {change: func(f *changing) { f.change("a", "b", "a") }, want: []string{"a", "b"}},
		"as many as allowed":  {change: func(f *changing) { f.change(many[1:]...) }, want: many[1:]},
		"too many":            {change: func(f *changing) { f.change(many...) }},
		"not about a key":     {change: func(f *changing) { f.change("a", "") }},
		"a restore":           {change: func(f *changing) { f.restore() }},
		"changes were lost":   {change: func(f *changing) { f.lose(); f.change("a") }},
		"lost, same position": {change: func(f *changing) { f.lose() }},
		"another era":         {change: func(f *changing) { f.change("a") }, from: func(p leases.Place) leases.Place { p.Era = "x"; return p }},
		"before the history":  {change: func(f *changing) { f.change("a") }, from: func(p leases.Place) leases.Place { p.Position--; return p }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t)
				first, err := f.Follow(t.Context(), leases.Place{})
				if err != nil {
					t.Fatal(err)
				}
				at := first.Place
				tc.change(f.feed)
				if _, err := f.Follow(t.Context(), at); err != nil { // the change has been read
					t.Fatal(err)
				}
				if tc.from != nil {
					at = tc.from(at)
				}
				news, err := f.Follow(t.Context(), at)
				if err != nil || !slices.Equal(news.IDs, tc.want) || (news.IDs == nil) != (tc.want == nil) || news.Position != f.feed.at() {
					t.Errorf("got %+v, %v, want %v", news, err, tc.want)
				}
			})
		})
	}
}

// Without verifiers the store is not read.
func TestIdleRegistryDoesNotLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		f.verifier("caller").renew(t)
		time.Sleep(feed.LongestLease + time.Second)
		looks := f.feed.looked()
		f.feed.change("one")
		time.Sleep(time.Minute)
		if f.feed.looked() != looks {
			t.Errorf("got %d looks, want none", f.feed.looked()-looks)
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

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		a, b := f.verifier("a"), f.verifier("b")
		a.renew(t)
		b.renew(t)
		f.feed.change("one")
		b.renew(t)
		_, release, err := f.Stream(t.Context(), "b", b.instance)
		if err != nil {
			t.Fatal(err)
		}
		got := f.List()
		if len(got) != 2 {
			t.Fatalf("got %+v, want two verifiers", got)
		}
		if one := got[0]; one.KeyID != "a" || one.Instance != a.instance.Short() || !one.Behind || one.Streaming || one.Applied != uint64(a.applied) ||
			one.Audience != "weather" || one.Address != "192.0.2.1" || one.Agent != "mcpkeys/1" || time.Until(one.LeaseEnds) != feed.LongestLease {
			t.Errorf("got %+v, want the first verifier, behind", one)
		}
		if two := got[1]; two.KeyID != "b" || two.Behind || !two.Streaming {
			t.Errorf("got %+v, want the second verifier, current and streaming", two)
		}
		release()
		if f.List()[1].Streaming {
			t.Error("streaming after the stream ended")
		}
		time.Sleep(1100 * time.Millisecond)
		if !strings.Contains(f.slot.now().list, a.instance.Short()) || strings.Contains(f.slot.now().list, fmt.Sprintf("%x", a.instance)) {
			t.Errorf("got list %s, want the verifiers with their short instance", f.slot.now().list)
		}
		time.Sleep(feed.LongestLease + time.Second)
		if f.slot.now().list != "[]" {
			t.Errorf("after the leases: got list %s, want an empty one", f.slot.now().list)
		}
		for range 1000 {
			f.verifier("caller").ask(t)
		}
		time.Sleep(1100 * time.Millisecond)
		if n := len(f.slot.now().list); n > 60_000 || n < 59_000 {
			t.Errorf("got a list of %d bytes, want just below 60,000", n)
		}
	})
}

func TestOneStreamForEachInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		i := protocol.NewInstance()
		first, release, err := f.Stream(t.Context(), "caller", i)
		if err != nil {
			t.Fatal(err)
		}
		second, releaseSecond, err := f.Stream(t.Context(), "caller", i)
		if err != nil || first.Err() == nil || second.Err() != nil {
			t.Errorf("got %v, %v, %v, want the first one ended", err, first.Err(), second.Err())
		}
		release()
		if second.Err() != nil {
			t.Error("the end of the first one ended the second")
		}
		releaseSecond()
		for range 1000 {
			if _, _, err := f.Stream(t.Context(), "caller", protocol.NewInstance()); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := f.Stream(t.Context(), "caller", protocol.NewInstance()); !errors.Is(err, leases.ErrTooMany) {
			t.Errorf("got %v, want ErrTooMany", err)
		}
		last, _, err := f.Stream(t.Context(), "other", i)
		if err != nil {
			t.Fatal(err)
		}
		f.Leave()
		<-last.Done()
		if !errors.Is(context.Cause(last), leases.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", context.Cause(last))
		}
		if _, _, err := f.Stream(t.Context(), "other", i); !errors.Is(err, leases.ErrClosed) {
			t.Errorf("a stream after Leave: got %v, want ErrClosed", err)
		}
		if g := f.verifier("caller").ask(t); g.Lease != leased {
			t.Errorf("a renewal after Leave: got %+v, want a lease", g)
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
