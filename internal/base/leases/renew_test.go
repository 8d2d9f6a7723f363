package leases_test

import (
	"errors"
	"fmt"
	"slices"
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
