package storetest

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
)

// hour is the one that holds start.
var hour = start.Truncate(time.Hour)

func (f *fixture) addUse(s store.UseLog, uses ...usage.Use) {
	f.t.Helper()
	if err := s.AddUse(f.t.Context(), uses); err != nil {
		f.t.Fatalf("AddUse: %v", err)
	}
}

func (f *fixture) wantUsage(what string, s store.UseLog, id string, since time.Time, want usage.Usage) {
	f.t.Helper()
	got, err := s.Usage(f.t.Context(), id, since)
	if err != nil {
		f.t.Fatalf("%s: Usage(%s): %v", what, id, err)
	}
	if got.Since.IsZero() {
		f.t.Errorf("%s: Usage(%s) does not say since when it counts", what, id)
	}
	want.Since = got.Since
	if d := diffUsage(want, got); d != "" {
		f.t.Errorf("%s: Usage(%s) (-want +got):\n%s", what, id, d)
	}
}

func calls(at time.Time, code keys.Code, scope string, n int64) usage.Count {
	return usage.Count{Hour: at, Code: code, Scope: scope, Calls: n}
}

func lastUse(secret int64, at time.Time, ip, agent string) keys.LastUse {
	l := keys.LastUse{Secret: secret, At: at, Agent: agent}
	if ip != "" {
		l.ClientIP = netip.MustParseAddr(ip)
	}
	return l
}

func countsAddUp(t *testing.T, f *fixture) {
	id, other := f.create("a", nil).ID, f.create("b", nil).ID
	later := hour.Add(time.Hour)
	f.addUse(f.store,
		usage.Use{KeyID: id, Counts: []usage.Count{calls(hour, keys.CodeValid, "", 3), calls(hour, keys.CodeValid, "tools:a", 2)}},
		usage.Use{KeyID: other, Counts: []usage.Count{calls(hour, keys.CodeValid, "", 100)}})
	f.addUse(f.store, usage.Use{KeyID: id, Counts: []usage.Count{
		calls(hour, keys.CodeValid, "", 4), calls(hour, keys.CodeInsufficientScope, "tools:a", 1), calls(later, keys.CodeRevoked, "", 5),
	}})
	f.addUse(f.store) // nothing to add
	f.addUse(f.store, usage.Use{KeyID: id}, usage.Use{KeyID: id, Counts: []usage.Count{calls(later, keys.CodeValid, usage.OtherScopes, 1)}},
		usage.Use{KeyID: id, Counts: []usage.Count{calls(later, keys.CodeValid, usage.OtherScopes, 1)}}) // one key twice in a batch
	want := usage.Usage{Counts: []usage.Count{
		calls(hour, keys.CodeInsufficientScope, "tools:a", 1), calls(hour, keys.CodeValid, "", 7), calls(hour, keys.CodeValid, "tools:a", 2),
		calls(later, keys.CodeRevoked, "", 5), calls(later, keys.CodeValid, usage.OtherScopes, 2),
	}}
	f.wantUsage("all", f.store, id, time.Time{}, want)
	f.wantUsage("from the first hour", f.store, id, hour, want)
	f.wantUsage("since within an hour", f.store, id, later.Add(-time.Microsecond), want) // the hour of since belongs to it
	want.Counts = want.Counts[3:]
	f.wantUsage("from the second hour", f.store, id, later, want)
	f.wantUsage("since within the second hour", f.store, id, later.Add(59*time.Minute), want)
	f.wantUsage("since later", f.store, id, later.Add(time.Hour), usage.Usage{})
	f.wantUsage("the other", f.store, other, time.Time{}, usage.Usage{Counts: []usage.Count{calls(hour, keys.CodeValid, "", 100)}})
}

func unknownHasNoUsage(t *testing.T, f *fixture) {
	k := f.create("a", nil)
	f.addUse(f.store, usage.Use{KeyID: k.ID, Counts: []usage.Count{calls(hour, keys.CodeValid, "", 1)}})
	for _, id := range []string{f.create("never used", nil).ID, "zzzzzzzzzzzz", strings.ToLower(k.ID) + "x", "", "%", "' OR 1=1 --", "\x00"} {
		f.wantUsage("unknown", f.store, id, time.Time{}, usage.Usage{})
	}
}

// Counts of several processes arrive in any order.
func lastUseMovesForward(t *testing.T, f *fixture) {
	id := f.create("a", nil).ID
	older, newer := start, start.Add(time.Microsecond)
	first := lastUse(1, newer, "2001:db8::1", "curl/8.5.0")
	second := lastUse(2, older, "192.0.2.7", "node")
	f.addUse(f.store, usage.Use{KeyID: id, Last: []keys.LastUse{first, second}})
	f.addUse(f.store, usage.Use{KeyID: id, Last: []keys.LastUse{lastUse(1, older, "192.0.2.9", "late")}})
	f.addUse(f.store, usage.Use{KeyID: id, Last: []keys.LastUse{lastUse(1, newer, "192.0.2.9", "again")}})
	f.wantUsage("older and same", f.store, id, start.Add(1000*time.Hour), usage.Usage{Last: []keys.LastUse{first, second}})
	second = lastUse(2, newer.Add(time.Hour), "", "")
	f.addUse(f.store, usage.Use{KeyID: id, Last: []keys.LastUse{second}})
	f.wantUsage("newer", f.store, id, time.Time{}, usage.Usage{Last: []keys.LastUse{second, first}})
}

// The second of two uses cannot be written: there is nothing of the first either.
func addUseIsOneTransaction(t *testing.T, f *fixture) {
	good := usage.Use{KeyID: f.create("a", nil).ID, Counts: []usage.Count{calls(hour, keys.CodeValid, "", 1)}, Last: []keys.LastUse{lastUse(1, start, "", "")}}
	bad := usage.Use{KeyID: f.create("b", nil).ID, Counts: []usage.Count{calls(hour, keys.CodeValid, "", -1)}}
	if err := f.store.AddUse(t.Context(), []usage.Use{good, bad}); err == nil {
		t.Errorf("AddUse of less than nothing: got no error")
	}
	if err := f.store.AddUse(cancelled(t), []usage.Use{good}); err == nil {
		t.Errorf("AddUse with a cancelled context: got no error")
	}
	f.wantUsage("after a failure", f.store, good.KeyID, time.Time{}, usage.Usage{})
}

// Day by day, hours older than usage.Kept become one count of their day, with each outcome and
// scope. The sums are as before, the border included, and a count that comes late is added.
func oldHoursAreSummedUp(t *testing.T, f *fixture) {
	a, b := f.create("a", nil).ID, f.create("b", nil).ID
	first := hour.Truncate(day)
	last := lastUse(1, start, "192.0.2.1", "curl")
	f.setClock(first.Add(4 * day))
	for d := range 3 {
		for h := range 24 {
			at := first.Add(time.Duration(d*24+h) * time.Hour)
			f.addUse(f.store, usage.Use{KeyID: a, Last: []keys.LastUse{last}, Counts: []usage.Count{
				calls(at, keys.CodeValid, "", int64(100*d+h+1)), calls(at, keys.CodeInsufficientScope, "tools:a", 1),
			}}, usage.Use{KeyID: b, Counts: []usage.Count{calls(at, keys.CodeRevoked, "", 7)}})
		}
	}
	before := f.usage(a, time.Time{})
	flush := func(at time.Time) {
		f.setClock(at)
		f.addUse(f.store, usage.Use{KeyID: b, Last: []keys.LastUse{last}})
	}
	flush(first.Add(usage.Kept + day - time.Nanosecond))
	if d := diffUsage(before, f.usage(a, time.Time{})); d != "" {
		t.Errorf("a moment before the first day is old (-want +got):\n%s", d)
	}
	for d, at := range []time.Time{first.Add(usage.Kept + day), first.Add(usage.Kept + 5*day), first.Add(usage.Kept + 5*day)} {
		flush(at)
		got := f.usage(a, time.Time{})
		sums := 0
		for _, c := range got.Counts {
			if c.Day {
				sums++
			}
		}
		if want := 2 * (d + 1); sums != want || len(got.Counts) != want+2*24*(2-d) {
			t.Errorf("day %d: got %d counts, %d of them of days, want %d of days and the hours of %d days", d, len(got.Counts), sums, want, 2-d)
		}
		if d := diffUsage([]any{before.Calls(), before.Outcomes(), before.Scopes(), before.Last}, []any{got.Calls(), got.Outcomes(), got.Scopes(), got.Last}); d != "" {
			t.Errorf("sums (-before +after):\n%s", d)
		}
	}
	sum := func(at time.Time, code keys.Code, scope string, n int64) usage.Count {
		return usage.Count{Hour: at, Day: true, Code: code, Scope: scope, Calls: n}
	}
	late := first.Add(30 * time.Hour)
	f.addUse(f.store, usage.Use{KeyID: a, Counts: []usage.Count{calls(late, keys.CodeValid, "", 1000)}})
	f.addUse(f.store)
	f.wantUsage("from an hour of the second day", f.store, a, late, usage.Usage{Last: []keys.LastUse{last}, Counts: []usage.Count{
		sum(first.Add(day), keys.CodeInsufficientScope, "tools:a", 24), sum(first.Add(day), keys.CodeValid, "", 24*100+300+1000),
		sum(first.Add(2*day), keys.CodeInsufficientScope, "tools:a", 24), sum(first.Add(2*day), keys.CodeValid, "", 24*200+300),
	}})
}

const day = 24 * time.Hour

func (f *fixture) usage(id string, since time.Time) usage.Usage {
	f.t.Helper()
	u, err := f.store.Usage(f.t.Context(), id, since)
	if err != nil {
		f.t.Fatalf("Usage(%s): %v", id, err)
	}
	return u
}

// Counts of days are deleted in the end, by the store's clock; last uses are not.
func oldCountsAreLetGo(t *testing.T, f *fixture) {
	a, b := f.create("a", nil).ID, f.create("b", nil).ID
	last, other := lastUse(1, start, "192.0.2.1", "curl"), lastUse(1, start, "", "")
	first := hour.Truncate(day)
	f.addUse(f.store, usage.Use{KeyID: a, Last: []keys.LastUse{last}, Counts: []usage.Count{
		calls(first, keys.CodeValid, "", 1), calls(first.Add(day), keys.CodeValid, "", 2),
	}})
	kept := []usage.Count{
		{Hour: first, Day: true, Code: keys.CodeValid, Calls: 1}, {Hour: first.Add(day), Day: true, Code: keys.CodeValid, Calls: 2},
	}
	for _, c := range []struct {
		after time.Duration
		want  []usage.Count
	}{{day - time.Nanosecond, kept}, {day, kept[1:]}, {2*day - time.Nanosecond, kept[1:]}, {2 * day, nil}} {
		f.setClock(first.Add(usage.DaysKept + c.after))
		for range 3 {
			f.addUse(f.store, usage.Use{KeyID: b, Last: []keys.LastUse{other}, Counts: []usage.Count{calls(first.Add(c.after-2*day), keys.CodeValid, "", 4)}})
		}
		f.wantUsage(fmt.Sprintf("%v after two years", c.after), f.store, a, time.Time{}, usage.Usage{Last: []keys.LastUse{last}, Counts: c.want})
	}
	f.wantUsage("counts that came too late", f.store, b, time.Time{}, usage.Usage{Last: []keys.LastUse{other}})
}

// Several handles count while the clock passes an hour, a day and the age at which hours are
// summed up: no use is lost.
func turningHourLosesNoUse(t *testing.T, f *fixture) {
	id := f.create("a", nil).ID
	first := hour.Truncate(day)
	const writers, rounds = 3, 60
	var clock atomic.Int64
	f.setClock(first)
	var wg sync.WaitGroup
	for range writers {
		s := f.another()
		wg.Go(func() {
			for range rounds {
				now := first.Add(time.Duration(clock.Add(1)) * time.Hour)
				f.setClock(now) // it may also go back by an hour or two
				counts := []usage.Count{calls(now.Truncate(time.Hour), keys.CodeValid, "", 1), calls(now.Add(-time.Hour), keys.CodeValid, "", 1)}
				if err := s.AddUse(t.Context(), []usage.Use{{KeyID: id, Counts: counts}}); err != nil {
					t.Errorf("AddUse: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for d := range 10 {
		if got, want := f.usage(id, time.Time{}).Calls(), int64(2*writers*rounds); got != want {
			t.Fatalf("after %d days were summed up: got %d calls, want %d", d, got, want)
		}
		f.setClock(first.Add(usage.Kept + time.Duration(d+1)*day))
		f.addUse(f.store, usage.Use{KeyID: id, Last: []keys.LastUse{lastUse(1, first, "", "")}})
	}
	if u := f.usage(id, time.Time{}); len(u.Counts) == 0 || !u.Counts[0].Day || !u.Counts[len(u.Counts)-1].Day {
		t.Errorf("got %+v, want counts of days alone", u.Counts)
	}
}

// A guard whose clock is wrong reports uses of the year 2099. No other count goes because
// of that, and the next use is the last one again.
func futureUseIsNow(t *testing.T, f *fixture) {
	a, b := f.create("a", nil).ID, f.create("b", nil).ID
	now := start.Add(time.Hour)
	f.setClock(now)
	f.addUse(f.store, usage.Use{KeyID: a, Counts: []usage.Count{calls(hour, keys.CodeValid, "", 1)}, Last: []keys.LastUse{lastUse(1, start, "", "")}})
	far := time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
	wrong := []usage.Use{
		{KeyID: a, Counts: []usage.Count{calls(far, keys.CodeValid, "", 2)}, Last: []keys.LastUse{lastUse(1, far, "192.0.2.1", "wrong")}},
		{KeyID: b, Counts: []usage.Count{calls(far, keys.CodeValid, "", 4)}, Last: []keys.LastUse{lastUse(1, far, "192.0.2.1", "wrong")}},
	}
	f.addUse(f.store, wrong...)
	f.wantUsage("of a", f.store, a, time.Time{}, usage.Usage{
		Last:   []keys.LastUse{lastUse(1, now, "192.0.2.1", "wrong")},
		Counts: []usage.Count{calls(hour, keys.CodeValid, "", 1), calls(hour.Add(time.Hour), keys.CodeValid, "", 2)},
	})
	f.setClock(now.Add(time.Minute))
	next := lastUse(1, now.Add(time.Second), "192.0.2.2", "right")
	f.addUse(f.store, usage.Use{KeyID: b, Last: []keys.LastUse{next}})
	f.wantUsage("of b", f.store, b, time.Time{}, usage.Usage{
		Last: []keys.LastUse{next}, Counts: []usage.Count{calls(hour.Add(time.Hour), keys.CodeValid, "", 4)},
	})
}

func writersLoseNoUse(t *testing.T, f *fixture) {
	id := f.create("a", nil).ID
	const writers, rounds = 3, 40
	var wg sync.WaitGroup
	for w := range writers {
		s := f.another()
		wg.Go(func() {
			for i := range rounds {
				err := s.AddUse(t.Context(), []usage.Use{{
					KeyID: id, Counts: []usage.Count{calls(hour, keys.CodeValid, "", 1)},
					Last: []keys.LastUse{lastUse(int64(w+1), start.Add(time.Duration(i)*time.Second), "", strconv.Itoa(i))},
				}})
				if err != nil {
					t.Errorf("AddUse %d of writer %d: %v", i, w, err)
				}
			}
		})
	}
	wg.Wait()
	want := usage.Usage{Counts: []usage.Count{calls(hour, keys.CodeValid, "", writers*rounds)}}
	for w := range writers {
		want.Last = append(want.Last, lastUse(int64(w+1), start.Add((rounds-1)*time.Second), "", strconv.Itoa(rounds-1)))
	}
	f.wantUsage("all handles", f.store, id, time.Time{}, want)
}

// A flush every five seconds that looked like a change would make every guard ask
// the store again about every key.
func useIsNoChange(t *testing.T, f *fixture) {
	k := f.create("a", nil)
	before, epoch := f.state(), f.store.Epoch()
	for range 3 {
		f.addUse(f.another(), usage.Use{KeyID: k.ID, Counts: []usage.Count{calls(hour, keys.CodeValid, "", 1)}, Last: []keys.LastUse{lastUse(1, start, "", "")}})
	}
	f.wantSame("AddUse", before)
	if got := f.store.Epoch(); got != epoch {
		t.Errorf("Epoch after AddUse: got %d, want %d as before", got, epoch)
	}
	if c := f.changes(f.store, before.Next); len(c.IDs) > 0 || c.Lost || c.Next != before.Next {
		t.Errorf("Changes after AddUse: got %+v, want none", c)
	}
}

func usageSurvivesRestart(t *testing.T, f *fixture) {
	id := f.create("a", nil).ID
	want := usage.Usage{Last: []keys.LastUse{lastUse(1, start, "192.0.2.1", "curl")}, Counts: []usage.Count{calls(hour, keys.CodeValid, "tools:ключ", 1)}}
	f.addUse(f.store, usage.Use{KeyID: id, Last: want.Last, Counts: want.Counts})
	if err := f.store.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	f.store = f.another()
	f.wantUsage("restart", f.store, id, time.Time{}, want)
}

func listTellsLastUse(t *testing.T, f *fixture) {
	var ids []string
	for i := range 5 {
		ids = append(ids, f.create("key "+strconv.Itoa(i), nil).ID)
	}
	early, late := lastUse(1, start, "192.0.2.1", "curl"), lastUse(2, start.Add(time.Minute), "", "node")
	f.addUse(f.store, usage.Use{KeyID: ids[1], Last: []keys.LastUse{early, late}}, usage.Use{KeyID: ids[4], Last: []keys.LastUse{early}},
		usage.Use{KeyID: "zzzzzzzzzzzz", Last: []keys.LastUse{late}},
		usage.Use{KeyID: ids[2], Counts: []usage.Count{calls(hour, keys.CodeRevoked, "", 1)}}) // presented, never accepted
	page, err := f.store.List(t.Context(), keys.Query{})
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	if d := diffUsage(map[string]keys.LastUse{ids[1]: late, ids[4]: early}, page.LastUsed); d != "" {
		t.Errorf("LastUsed (-want +got):\n%s", d)
	}
	page, err = f.store.List(t.Context(), keys.Query{Name: "key 0"})
	if err != nil || page.LastUsed == nil || len(page.LastUsed) != 0 {
		t.Errorf("LastUsed of a key that was never used: got %v, %v, want an empty map: it is known", page.LastUsed, err)
	}
}

// Around the boundary, to the microsecond, for one secret of two, in pages.
func unusedSelects(t *testing.T, f *fixture) {
	f.now = time.Now().UTC().Truncate(time.Second).Add(24 * time.Hour) // later than the store: older uses are unknown to it
	since := f.now.Add(time.Hour)
	f.setClock(since.Add(2 * time.Hour))
	issue := func(name string, created time.Time, uses ...time.Time) {
		id := f.create(name, func(k *keys.Key) { k.CreatedAt = created }).ID
		u := usage.Use{KeyID: id, Counts: []usage.Count{calls(since.Add(time.Hour).Truncate(time.Hour), keys.CodeExpired, "", 1)}}
		for i, at := range uses {
			u.Last = append(u.Last, lastUse(int64(i+1), at, "", ""))
		}
		f.addUse(f.store, u)
	}
	us := time.Microsecond
	old := since.Add(-time.Hour)
	issue("never used", old)
	issue("issued just before", since.Add(-us))
	issue("issued at", since)
	issue("issued after", since.Add(us))
	issue("used just before", old, since.Add(-us))
	issue("used at", old, since)
	issue("used after", old, since.Add(us))
	issue("first secret before, second after", old, since.Add(-us), since.Add(us))
	issue("first secret after, second before", old, since.Add(us), since.Add(-us))
	issue("both secrets before", old, since.Add(-us), since.Add(-2*us))
	want := []string{"never used", "issued just before", "used just before", "both secrets before"}
	f.wantList("unused", keys.Query{UnusedBy: since}, want...)
	f.wantList("unused, in pages", keys.Query{UnusedBy: since, Limit: 1}, want...)
	f.wantList("unused, between two microseconds", keys.Query{UnusedBy: since.Add(-us + 1)}, want...)
	f.wantList("unused and searched", keys.Query{UnusedBy: since, Search: "secrets"}, "both secrets before")
	f.wantList("unused for longer", keys.Query{UnusedBy: old})
	for i := range keys.MaxLimit {
		issue(fmt.Sprint("busy ", i), old, since)
	}
	f.wantList("unused among many", keys.Query{UnusedBy: since, Limit: 3}, want...)
}

func closedKeepsNoUsage(t *testing.T, f *fixture) {
	id := f.create("a", nil).ID
	for what, use := range map[string]bool{"used before": true, "never used": false} {
		s := f.another()
		if use {
			f.addUse(s, usage.Use{KeyID: id, Counts: []usage.Count{calls(hour, keys.CodeValid, "", 1)}})
		}
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		if err := s.AddUse(t.Context(), []usage.Use{{KeyID: id}}); !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("AddUse after Close (%s): got %v, want ErrUnavailable", what, err)
		}
		if _, err := s.Usage(t.Context(), id, start); !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("Usage after Close (%s): got %v, want ErrUnavailable", what, err)
		}
	}
	f.wantUsage("another handle", f.store, id, start, usage.Usage{Counts: []usage.Count{calls(hour, keys.CodeValid, "", 1)}})
}
