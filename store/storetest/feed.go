package storetest

import (
	"slices"
	"strconv"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
)

func feedTellsOnce(t *testing.T, f *fixture) {
	before := f.create("before", nil)
	c := f.changes(f.store, -1)
	if len(c.IDs) != 0 || c.Lost {
		t.Fatalf("Changes(-1): got %+v, want a position and no ids", c)
	}
	a, b := f.create("a", nil), f.create("b", nil)
	f.mustUpdate(a.ID, func(k *keys.Key) { k.DisabledAt = f.now })
	f.mustUpdate(a.ID, func(k *keys.Key) { k.Secrets[0].ExpiresAt = f.now })
	first := f.changes(f.store, c.Seq)
	if !slices.Equal(first.IDs, []string{a.ID, b.ID}) || first.Lost || first.Seq <= c.Seq {
		t.Errorf("Changes: got %+v, want %s and %s, each once", first, a.ID, b.ID)
	}
	f.mustUpdate(before.ID, func(k *keys.Key) { k.RevokedAt = f.now })
	second := f.changes(f.store, first.Seq)
	if !slices.Equal(second.IDs, []string{before.ID}) || second.Lost {
		t.Errorf("Changes: got %+v, want %s", second, before.ID)
	}
	if again := f.changes(f.store, first.Seq); diff(second, again) != "" {
		t.Errorf("Changes asked again: got %+v, want %+v", again, second)
	}
	if end := f.changes(f.store, second.Seq); len(end.IDs) != 0 || end.Seq != second.Seq || end.Lost {
		t.Errorf("Changes at the end: got %+v, want nothing and the same position", end)
	}
	if all := f.changes(f.store, 0); len(all.IDs) != 3 || all.Lost {
		t.Errorf("Changes(0): got %+v, want three ids", all)
	}
}

// A reader follows while two others write. It misses nothing, also over a restart
// in between.
func feedTellsOfOthers(t *testing.T, f *fixture) {
	writers := []*keys.LocalManager{f.manager(f.another()), f.manager(f.another())}
	reader := f.another()
	seq := f.changes(reader, -1).Seq
	want, got := map[string]bool{}, map[string]bool{}
	for i := range 12 {
		issued, err := writers[i%2].Issue(t.Context(), keys.IssueRequest{Name: "key " + strconv.Itoa(i)})
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
		seq = c.Seq
	}
	if d := diff(want, got); d != "" {
		t.Errorf("what the feed told (-want +got):\n%s", d)
	}
}

func feedIsSilent(t *testing.T, f *fixture) {
	k := f.create("ci", nil)
	seq := f.changes(f.store, -1).Seq
	taken := f.newKey("ci", nil)
	_ = f.store.Create(t.Context(), taken, f.event(taken.ID)) // refused: the name is taken
	_, _ = f.store.Update(t.Context(), k.ID, func(*keys.Key) (keys.Event, error) { return keys.Event{}, keys.ErrNoChange })
	f.all(keys.Query{})
	if c := f.changes(f.store, seq); c.Seq != seq || len(c.IDs) != 0 || c.Lost {
		t.Errorf("Changes: got %+v, want position %d and nothing", c, seq)
	}
}

// A position ahead of the store is from a time that was undone, by a restored
// backup: whoever holds it knows things that are no longer so.
func futurePositionIsLost(t *testing.T, f *fixture) {
	f.create("a", nil)
	seq := f.changes(f.store, -1).Seq
	if c := f.changes(f.store, seq+1); !c.Lost || c.Seq != seq {
		t.Errorf("Changes(%d): got %+v, want lost and position %d", seq+1, c, seq)
	}
}

func commitIsSeenAtOnce(t *testing.T, f *fixture) {
	other := f.another()
	for i := range 20 {
		k := f.create("key "+strconv.Itoa(i), nil)
		seq := f.changes(other, -1).Seq
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
