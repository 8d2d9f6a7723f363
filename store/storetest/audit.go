package storetest

import (
	"errors"
	"iter"
	"strconv"
	"sync"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
)

// unwritable are audit rows that a store must refuse, by the reason.
func unwritable(f *fixture, id string) map[string]audit.Event {
	f.t.Helper()
	twice := f.event(id)
	twice.ID = f.events()[0].ID
	noJSON, noActor, noAction, stranger, nameless := f.event(id), f.event(id), f.event(id), f.event(id), f.event(id)
	noJSON.Detail = "{"
	noActor.Actor = ""
	noAction.Action = ""
	stranger.KeyID = "000000000000"
	nameless.ID = [16]byte{}
	return map[string]audit.Event{
		"an id that is in the log": twice, "a detail that is not JSON": noJSON, "no actor": noActor,
		"no action": noAction, "another key": stranger, "no id": nameless,
	}
}

// Who could make the audit row fail could otherwise change keys unseen.
func noKeyWithoutAudit(t *testing.T, f *fixture) {
	k := f.create("first", nil)
	next := f.newKey("next", nil)
	before := f.state()
	for name, e := range unwritable(f, next.ID) {
		if err := f.store.Create(t.Context(), next, e); err == nil {
			t.Errorf("Create, event with %s: got no error", name)
		}
	}
	for name, e := range unwritable(f, k.ID) {
		_, err := f.store.Update(t.Context(), k.ID, func(k *keys.Key) (audit.Event, error) {
			k.RevokedAt = f.now
			k.Version++
			f.store.Peppers().Seal(k)
			return e, nil
		})
		if err == nil {
			t.Errorf("Update, event with %s: got no error", name)
		}
	}
	f.wantSame("failing audit row", before)
}

func noAuditWithoutKey(t *testing.T, f *fixture) {
	f.create("ci", nil)
	before := f.state()
	taken := f.newKey("ci", nil)
	if err := f.store.Create(t.Context(), taken, f.event(taken.ID)); !errors.Is(err, keys.ErrNameTaken) {
		t.Fatalf("Create: got %v, want ErrNameTaken", err)
	}
	f.wantSame("failing key", before)
}

// Seq, Prev and Hash are the store's to set: a caller cannot choose a place.
func storeLinksChain(t *testing.T, f *fixture) {
	for i := range 3 {
		k := f.newKey("key "+strconv.Itoa(i), nil)
		e := f.event(k.ID)
		e.Seq, e.Prev, e.Hash = 77, []byte("made up"), []byte("made up")
		if err := f.store.Create(t.Context(), k, e); err != nil {
			t.Fatalf("Create: %v", err)
		}
		stored := f.events()[i]
		e.Seq, e.Prev, e.Hash = int64(i+1), stored.Prev, stored.Hash
		if d := diff(e, stored); d != "" {
			t.Errorf("event %d (-want +got):\n%s", i+1, d)
		}
	}
	newest, err := audit.VerifyChain(f.chain(100))
	if err != nil || newest == nil || newest.Seq != 3 {
		t.Errorf("VerifyChain: got %v, %v, want the third row", newest, err)
	}
}

// chain reads the log in pages of limit.
func (f *fixture) chain(limit int) iter.Seq2[audit.Event, error] {
	return func(yield func(audit.Event, error) bool) {
		after := int64(0)
		for {
			page, err := f.store.Events(f.t.Context(), after, limit)
			if err != nil {
				yield(audit.Event{}, err)
				return
			}
			for _, e := range page {
				after = e.Seq
				if !yield(e, nil) {
					return
				}
			}
			if len(page) < limit {
				return
			}
		}
	}
}

func chainHoldsWithWriters(t *testing.T, f *fixture) {
	const each = 8
	var wg sync.WaitGroup
	for w, s := range []store.Store{f.store, f.another(), f.another()} {
		m := f.manager(s)
		wg.Go(func() {
			for i := range each {
				issued, err := m.Issue(t.Context(), admin.IssueRequest{Name: strconv.Itoa(w) + "-" + strconv.Itoa(i)})
				if err != nil {
					t.Errorf("Issue: %v", err)
					return
				}
				if _, err := m.Revoke(t.Context(), issued.Key.ID, "done"); err != nil {
					t.Errorf("Revoke: %v", err)
				}
			}
		})
	}
	wg.Wait()
	newest, err := audit.VerifyChain(f.chain(7))
	if err != nil || newest == nil || newest.Seq != 3*each*2 {
		t.Errorf("VerifyChain: got %v, %v, want row %d", newest, err, 3*each*2)
	}
}

func auditComesInPages(t *testing.T, f *fixture) {
	if got := f.events(); len(got) != 0 {
		t.Errorf("Events of an empty store: got %d, want 0", len(got))
	}
	for i := range 5 {
		f.create("key "+strconv.Itoa(i), nil)
	}
	for _, c := range []struct {
		after int64
		limit int
		want  []int64
	}{
		{0, 2, []int64{1, 2}}, {2, 2, []int64{3, 4}}, {4, 2, []int64{5}}, {5, 2, nil}, {99, 2, nil}, {-1, 9, []int64{1, 2, 3, 4, 5}},
	} {
		page, err := f.store.Events(t.Context(), c.after, c.limit)
		if err != nil {
			t.Fatalf("Events(%d, %d): %v", c.after, c.limit, err)
		}
		var got []int64
		for _, e := range page {
			got = append(got, e.Seq)
		}
		if d := diff(c.want, got); d != "" {
			t.Errorf("Events(%d, %d) (-want +got):\n%s", c.after, c.limit, d)
		}
	}
}

// A row about the store itself takes its place in the chain like any other, changes
// no key, and cannot pass for a change of one.
func storeIsRecorded(t *testing.T, f *fixture) {
	k := f.create("ci", nil)
	before := f.position()
	if err := f.manager(f.store).Record(t.Context(), "store.test", map[string]int{"n": 1}); err != nil {
		t.Fatalf("Record: %v", err)
	}
	f.mustUpdate(k.ID, func(k *keys.Key) { k.Owner = "ops" })
	events := f.events()
	if len(events) != 3 || events[1].Action != "store.test" || events[1].KeyID != "" || events[1].Detail != `{"n":1}` || events[1].Actor != "test" {
		t.Errorf("Events: got %+v, want the recorded one as the second of three", events)
	}
	if _, err := audit.VerifyChain(f.chain(100)); err != nil {
		t.Errorf("VerifyChain: %v", err)
	}
	if c, err := f.store.Changes(t.Context(), before); err != nil || c.Lost || len(c.IDs) != 1 {
		t.Errorf("Changes: got %+v, %v, want the one key that was changed afterwards", c, err)
	}
	state := f.state()
	if err := f.store.Record(t.Context(), f.event(k.ID)); err == nil {
		t.Error("Record of an event of a key: got no error")
	}
	f.wantSame("an event of a key", state)
}

// position is where the feed stands now.
func (f *fixture) position() feed.Position {
	f.t.Helper()
	c, err := f.store.Changes(f.t.Context(), feed.Position{})
	if err != nil {
		f.t.Fatalf("Changes: %v", err)
	}
	return c.Next
}
