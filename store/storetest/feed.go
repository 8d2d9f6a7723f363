package storetest

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
)

func feedTellsOnce(t *testing.T, f *fixture) {
	before := f.create("before", nil)
	c := f.changes(f.store, feed.Position{})
	if len(c.IDs) != 0 || c.Lost {
		t.Fatalf("Changes from the start: got %+v, want a position and no ids", c)
	}
	a, b := f.create("a", nil), f.create("b", nil)
	f.mustUpdate(a.ID, func(k *keys.Key) { k.DisabledAt = f.now })
	f.mustUpdate(a.ID, func(k *keys.Key) { k.Secrets[0].ExpiresAt = f.now })
	first := f.changes(f.store, c.Next)
	if !slices.Equal(first.IDs, []string{a.ID, b.ID}) || first.Lost || first.Next.Seq <= c.Next.Seq {
		t.Errorf("Changes: got %+v, want %s and %s, each once", first, a.ID, b.ID)
	}
	f.mustUpdate(before.ID, func(k *keys.Key) { k.RevokedAt = f.now })
	second := f.changes(f.store, first.Next)
	if !slices.Equal(second.IDs, []string{before.ID}) || second.Lost {
		t.Errorf("Changes: got %+v, want %s", second, before.ID)
	}
	if again := f.changes(f.store, first.Next); diff(second, again) != "" {
		t.Errorf("Changes asked again: got %+v, want %+v", again, second)
	}
	if end := f.changes(f.store, second.Next); len(end.IDs) != 0 || end.Next != second.Next || end.Lost {
		t.Errorf("Changes at the end: got %+v, want nothing and the same position", end)
	}
	if all := f.changes(f.store, feed.Position{Generation: c.Next.Generation}); len(all.IDs) != 3 || all.Lost {
		t.Errorf("Changes from the first event: got %+v, want three ids", all)
	}
}

// A reader follows while two others write. It misses nothing, also over a restart
// in between.
func feedTellsOfOthers(t *testing.T, f *fixture) {
	writers := []*admin.Local{f.manager(f.another()), f.manager(f.another())}
	reader := f.another()
	seq := f.changes(reader, feed.Position{}).Next
	want, got := map[string]bool{}, map[string]bool{}
	for i := range 12 {
		issued, err := writers[i%2].Issue(t.Context(), admin.IssueRequest{Name: "key " + strconv.Itoa(i)})
		if err != nil {
			t.Fatalf("Issue: %v", err)
		}
		want[issued.Key.ID] = true
		if i == 5 {
			if err := reader.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
			reader = f.another()
			continue // what happened meanwhile comes with the next answer
		}
		c := f.changes(reader, seq)
		for _, id := range c.IDs {
			if got[id] {
				t.Errorf("%s came twice", id)
			}
			got[id] = true
		}
		seq = c.Next
	}
	if d := diff(want, got); d != "" {
		t.Errorf("what the feed told (-want +got):\n%s", d)
	}
}

func feedIsSilent(t *testing.T, f *fixture) {
	k := f.create("ci", nil)
	seq := f.changes(f.store, feed.Position{}).Next
	taken := f.newKey("ci", nil)
	_ = f.store.Create(t.Context(), taken, f.event(taken.ID)) // refused: the name is taken
	_, _ = f.store.Update(t.Context(), k.ID, func(*keys.Key) (audit.Event, error) { return audit.Event{}, keys.ErrNoChange })
	f.all(keys.Query{})
	if c := f.changes(f.store, seq); c.Next != seq || len(c.IDs) != 0 || c.Lost {
		t.Errorf("Changes: got %+v, want position %v and nothing", c, seq)
	}
}

// What changed is told for a day. A reader that was away for longer is told that it lost
// something, unless nothing changed: then it stands where it stood.
func changesAreToldForADay(t *testing.T, f *fixture) {
	now := time.Now() // changes may be noted by the database, which has no other clock
	f.setClock(now)
	first := f.create("first", nil)
	long := f.changes(f.store, feed.Position{}).Next
	f.mustUpdate(first.ID, func(k *keys.Key) { k.Owner = "x" })
	f.setClock(now.Add(23 * time.Hour))
	second := f.create("second", nil)
	if c := f.changes(f.store, long); c.Lost || !slices.Equal(c.IDs, []string{first.ID, second.ID}) {
		t.Errorf("Changes after 23 hours: got %+v, want both keys", c)
	}
	newest := f.changes(f.store, feed.Position{}).Next
	f.setClock(now.Add(25 * time.Hour))
	if c := f.changes(f.another(), newest); c.Lost || len(c.IDs) > 0 || c.Next != newest {
		t.Errorf("Changes where nothing changed for 25 hours: got %+v, want nothing", c)
	}
	third := f.create("third", nil)
	if c := f.changes(f.another(), newest); c.Lost || !slices.Equal(c.IDs, []string{third.ID}) {
		t.Errorf("Changes of a reader that had seen all before: got %+v, want the key", c)
	}
	f.mustUpdate(third.ID, func(k *keys.Key) { k.Owner = "x" })
	for _, since := range []feed.Position{long, {Generation: long.Generation}} {
		if c := f.changes(f.another(), since); !c.Lost || len(c.IDs) > 0 {
			t.Errorf("Changes since %d, after 25 hours: got %+v, want lost", since.Seq, c)
		}
	}
}

// A position ahead of the store is from a time that a restored backup undid: what its reader
// remembers may be wrong.
func futurePositionIsLost(t *testing.T, f *fixture) {
	f.create("a", nil)
	seq := f.changes(f.store, feed.Position{}).Next
	ahead := feed.Position{Generation: seq.Generation, Seq: seq.Seq + 1}
	elsewhere := feed.Position{Generation: "another", Seq: seq.Seq}
	for _, since := range []feed.Position{ahead, elsewhere} {
		if c := f.changes(f.store, since); !c.Lost || c.Next != seq {
			t.Errorf("Changes(%v): got %+v, want lost and position %v", since, c, seq)
		}
	}
}

// The store was put back to an older state and changed again, so that another change has the
// number that a reader knows. Numbers cannot tell that; the change's id does.
func otherChangeIsLost(t *testing.T, f *fixture) {
	f.create("a", nil)
	first := f.changes(f.store, feed.Position{}).Next
	f.create("b", nil)
	second := f.changes(f.store, first).Next
	if first.Event == "" || second.Event == "" || first.Event == second.Event {
		t.Errorf("ids of two changes: got %q and %q, want two", first.Event, second.Event)
	}
	other := f.another()
	for _, at := range []feed.Position{first, second} {
		for _, event := range []string{"", "another", first.Event + second.Event} {
			since := at
			since.Event = event
			if c := f.changes(other, since); !c.Lost || c.Next != second {
				t.Errorf("Changes(%+v): got %+v, want lost and position %+v", since, c, second)
			}
		}
		if c := f.changes(other, at); c.Lost || c.Next.Event != second.Event {
			t.Errorf("Changes(%+v): got %+v, want what came since, to %q", at, c, second.Event)
		}
	}
}

func commitIsSeenAtOnce(t *testing.T, f *fixture) {
	other := f.another()
	for i := range 20 {
		k := f.create("key "+strconv.Itoa(i), nil)
		seq := f.changes(other, feed.Position{}).Next
		f.key(other, k.ID)
		f.mustUpdate(k.ID, func(k *keys.Key) { k.RevokedAt = f.now })
		if f.key(other, k.ID).RevokedAt.IsZero() {
			t.Fatalf("round %d: the other handle reads the key as it was before", i)
		}
		if c := f.changes(other, seq); !slices.Equal(c.IDs, []string{k.ID}) {
			t.Fatalf("round %d: the other handle's feed: got %+v, want %s", i, c, k.ID)
		}
	}
}

// The epoch of each handle differs as soon as a change was acknowledged to any handle, and
// then the change can be read. This also holds for a change with nothing to write: it may be
// a second attempt after one that was committed and never announced.
func epochMoves(t *testing.T, f *fixture) {
	handles := []store.Store{f.store, f.another(), f.another()}
	var k *keys.Key
	for i, step := range []struct {
		name string
		do   func() error
	}{
		{"create", func() error {
			k = f.newKey("ci", nil)
			return f.store.Create(t.Context(), k, f.event(k.ID))
		}},
		{"update", func() error {
			_, err := f.update(handles[1], k.ID, func(k *keys.Key) { k.Owner = "x" })
			return err
		}},
		{"revoke", func() error {
			_, err := f.manager(handles[2]).Revoke(t.Context(), k.ID, "leaked")
			return err
		}},
		{"revoke again", func() error {
			_, err := f.manager(handles[1]).Revoke(t.Context(), k.ID, "leaked")
			return err
		}},
	} {
		var before []uint64
		var since []feed.Position
		for _, h := range handles {
			before = append(before, h.Epoch())
			since = append(since, f.changes(h, feed.Position{}).Next)
		}
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		for j, h := range handles {
			if h.Epoch() == before[j] {
				t.Errorf("%s: the epoch of handle %d did not move", step.name, j)
			}
			if c := f.changes(h, since[j]); i < 3 && !slices.Equal(c.IDs, []string{k.ID}) {
				t.Errorf("%s: the feed of handle %d: got %+v, want %s", step.name, j, c, k.ID)
			}
		}
	}
}

// A reader that sees a number also sees all changes with smaller ones.
func epochNeverFalls(t *testing.T, f *fixture) {
	other := f.another()
	var last uint64
	for i := range 20 {
		f.create("key "+strconv.Itoa(i), nil)
		f.changes(other, feed.Position{})
		now := other.Epoch()
		if now <= last {
			t.Fatalf("Epoch after %d changes: got %d, want more than %d", i+1, now, last)
		}
		last = now
	}
}

// Readers at two handles wait for the changes that a third makes. None misses one, also one that
// is made when it is about to wait, and none waits longer than its context or its store.
func eachChangeEndsTheWaiting(t *testing.T, f *fixture) {
	const changes = 50
	moved := make([]chan uint64, 2) // each reader tells of each number
	for i := range moved {
		moved[i] = make(chan uint64)
		h := f.another()
		from := h.Epoch()
		go func() {
			for range changes {
				for h.Epoch() == from {
					h.Wait(context.Background(), from)
				}
				from = h.Epoch()
				moved[i] <- from
			}
		}()
	}
	for n := range changes {
		f.create("key "+strconv.Itoa(n), nil)
		for i, told := range moved {
			select {
			case <-told:
			case <-time.After(time.Minute):
				t.Fatalf("reader %d still waits for change %d", i, n)
			}
		}
	}

	h := f.another()
	over := make(chan struct{}, 2)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { h.Wait(ctx, h.Epoch()); over <- struct{}{} }()
	cancel()
	<-over
	go func() {
		for from := h.Epoch(); h.Epoch() == from; {
			h.Wait(context.Background(), from)
		}
		over <- struct{}{}
	}()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-over:
	case <-time.After(time.Minute):
		t.Error("a reader still waits although its store is closed")
	}
}

// A reader must know for how long it may work without reading, and how often it reads although
// nothing was announced. All readers of the same data have the same bounds, and a change
// does not alter them.
func feedStatesBounds(t *testing.T, f *fixture) {
	bounds := f.store.Bounds()
	if bounds.Look <= 0 || bounds.Lease < bounds.Look {
		t.Errorf("Bounds: got %+v, want to look within a lease", bounds)
	}
	other := f.another()
	f.create("ci", nil)
	if got := other.Bounds(); got != bounds || f.store.Bounds() != bounds {
		t.Errorf("Bounds of another handle: got %+v, want %+v", got, bounds)
	}
}
