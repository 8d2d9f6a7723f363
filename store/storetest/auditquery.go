package storetest

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// audit returns the numbers of all rows that fit q, through all pages.
func (f *fixture) audit(q audit.Query) []int64 {
	f.t.Helper()
	seqs := []int64{}
	for {
		page, err := f.store.Audit(f.t.Context(), q)
		if err != nil {
			f.t.Fatalf("Audit(%+v): %v", q, err)
		}
		for _, e := range page.Events {
			seqs = append(seqs, e.Seq)
		}
		if page.Next == 0 {
			return seqs
		}
		q.After = page.Next
	}
}

func (f *fixture) wantAudit(what string, q audit.Query, want ...int64) {
	f.t.Helper()
	if got := f.audit(q); !slices.Equal(got, want) {
		f.t.Errorf("Audit(%s): got rows %v, want %v", what, got, want)
	}
}

// write stores a new key with an audit row that edit may alter first.
func (f *fixture) write(name string, edit func(*audit.Event)) audit.Event {
	f.t.Helper()
	k := f.newKey(name, nil)
	e := f.event(k.ID)
	edit(&e)
	if err := f.store.Create(f.t.Context(), k, e); err != nil {
		f.t.Fatalf("Create(%q): %v", name, err)
	}
	return e
}

func auditRunsEitherWay(t *testing.T, f *fixture) {
	f.wantAudit("of an empty store", audit.Query{})
	for i := range 5 {
		f.create("key "+strconv.Itoa(i), nil)
	}
	for _, limit := range []int{0, 1, 2, 4, 5, 6} {
		f.wantAudit("newest first", audit.Query{Limit: limit}, 5, 4, 3, 2, 1)
		f.wantAudit("oldest first", audit.Query{Limit: limit, OldestFirst: true}, 1, 2, 3, 4, 5)
	}
	f.wantAudit("behind 3", audit.Query{After: 3}, 2, 1)
	f.wantAudit("behind 3, oldest first", audit.Query{After: 3, OldestFirst: true}, 4, 5)
	f.wantAudit("behind the last", audit.Query{After: 5, OldestFirst: true})
	f.wantAudit("behind what is none", audit.Query{After: -1, OldestFirst: true}, 1, 2, 3, 4, 5)
	page, err := f.store.Audit(t.Context(), audit.Query{Limit: 5})
	if err != nil || len(page.Events) != 5 || page.Next != 0 {
		t.Errorf("Audit of exactly one page: got %d rows, next %d, %v, want no next page", len(page.Events), page.Next, err)
	}
	want := f.events()
	slices.Reverse(want)
	if d := diff(want, page.Events); d != "" {
		t.Errorf("Audit: rows differ from Events (-want +got):\n%s", d)
	}
}

func auditConditionsSelect(t *testing.T, f *fixture) {
	at := start
	first := f.write("1", func(e *audit.Event) { e.At, e.Actor = at, "local:alice(1000)" })
	f.write("2", func(e *audit.Event) { e.At, e.Action = at.Add(time.Microsecond), "key.revoke" })
	f.write("3", func(e *audit.Event) { e.At, e.Actor, e.Action = at.Add(time.Second), "local:alice(1000)", "key.revoke" })
	k := f.mustUpdate(first.KeyID, func(k *keys.Key) { k.Owner = "ops" }) // row 4, at the fixture's own time

	f.wantAudit("key", audit.Query{KeyID: k.ID}, 4, 1)
	f.wantAudit("key, oldest first", audit.Query{KeyID: k.ID, OldestFirst: true}, 1, 4)
	f.wantAudit("key, in pages", audit.Query{KeyID: k.ID, Limit: 1}, 4, 1)
	f.wantAudit("a key that never was", audit.Query{KeyID: "000000000000"})
	f.wantAudit("actor", audit.Query{Actor: "local:alice(1000)"}, 3, 1)
	f.wantAudit("part of an actor", audit.Query{Actor: "local:alice"})
	f.wantAudit("wildcard", audit.Query{Actor: "local:%"})
	f.wantAudit("action", audit.Query{Action: "key.revoke"}, 3, 2)
	f.wantAudit("actor and action", audit.Query{Actor: "local:alice(1000)", Action: "key.revoke"}, 3)
	f.wantAudit("key and action", audit.Query{KeyID: k.ID, Action: "key.revoke"})

	// A moment belongs to Since and not to Until, also between two microseconds.
	f.wantAudit("since", audit.Query{Since: at.Add(time.Microsecond), Until: at.Add(2 * time.Second)}, 3, 2)
	f.wantAudit("since, a nanosecond later", audit.Query{Since: at.Add(time.Microsecond + 1), Until: at.Add(2 * time.Second)}, 3)
	f.wantAudit("until", audit.Query{Until: at.Add(time.Second)}, 2, 1)
	f.wantAudit("until, a nanosecond later", audit.Query{Until: at.Add(time.Second + 1)}, 3, 2, 1)
	f.wantAudit("in another zone", audit.Query{Until: at.Add(time.Second).In(time.FixedZone("", 3600))}, 2, 1)
	f.wantAudit("nothing in between", audit.Query{Since: at.Add(2 * time.Second), Until: at})
}

// Changes are made between pages: every row from before is listed exactly once, and reading
// from the oldest on lists the new ones too.
func auditPagingUnderWrites(t *testing.T, f *fixture) {
	for i := range 10 {
		f.create("old "+strconv.Itoa(i), nil)
	}
	for _, oldestFirst := range []bool{false, true} {
		seen := map[int64]int{}
		q := audit.Query{Limit: 3, OldestFirst: oldestFirst}
		before := len(f.events())
		for turn := 0; ; turn++ {
			page, err := f.store.Audit(t.Context(), q)
			if err != nil {
				t.Fatalf("Audit: %v", err)
			}
			for _, e := range page.Events {
				seen[e.Seq]++
			}
			if page.Next == 0 {
				break
			}
			q.After = page.Next
			if turn < 4 {
				f.create("new "+strconv.FormatBool(oldestFirst)+strconv.Itoa(turn), nil)
			}
		}
		want := before
		if oldestFirst {
			want = len(f.events())
		}
		for seq := range int64(want) {
			if n := seen[seq+1]; n != 1 {
				t.Errorf("oldest first %v: row %d was seen %d times, want once", oldestFirst, seq+1, n)
			}
		}
	}
}

func auditPageIsBounded(t *testing.T, f *fixture) {
	for i := range keys.MaxLimit + 1 {
		f.create("key "+strconv.Itoa(i), nil)
	}
	for limit, want := range map[int]int{
		0: keys.DefaultLimit, -1: keys.DefaultLimit, 1: 1, keys.MaxLimit: keys.MaxLimit, 1 << 40: keys.MaxLimit,
	} {
		page, err := f.store.Audit(t.Context(), audit.Query{Limit: limit})
		if err != nil || len(page.Events) != want || page.Next == 0 {
			t.Errorf("Audit(limit %d): got %d rows, next %d, %v, want %d and a next page", limit, len(page.Events), page.Next, err, want)
		}
	}
}
