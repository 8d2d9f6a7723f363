package storetest

import (
	"errors"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
)

// minute is the one that holds start.
var minute = start.Truncate(time.Minute)

func denial(ago time.Duration, code keys.Code, calls int64) usage.Denial {
	return usage.Denial{Minute: minute.Add(-ago), Code: code, KeyID: "aaaaaaaaaaaa", Proved: true, Calls: calls}
}

func (f *fixture) addDenials(list ...usage.Denial) {
	f.t.Helper()
	if err := f.store.AddDenials(f.t.Context(), list); err != nil {
		f.t.Fatalf("AddDenials: %v", err)
	}
}

func (f *fixture) wantDenials(what string, q store.DenialQuery, want ...usage.Denial) {
	f.t.Helper()
	got, err := f.store.Denials(f.t.Context(), q)
	if err != nil {
		f.t.Fatalf("Denials(%s): %v", what, err)
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		f.t.Errorf("Denials(%s) (-want +got):\n%s", what, d)
	}
}

func denialsAddUp(t *testing.T, f *fixture) {
	f.addDenials()
	full := usage.Denial{
		Minute: minute, Code: keys.CodeRevoked, KeyID: "bbbbbbbbbbbb", Proved: true, Source: netip.MustParsePrefix("2001:db8::/64"),
		Audience: "https://mcp.example/mcp", Scope: "tools:a tools:b", Offered: "maps weather", Agent: "curl/8", Calls: 2,
	}
	f.addDenials(full, denial(time.Minute, keys.CodeExpired, 3))
	f.wantDenials("all", store.DenialQuery{}, full, denial(time.Minute, keys.CodeExpired, 3))
	others := []usage.Denial{full, full, full, full, full, full}
	others[0].Source = netip.MustParsePrefix("192.0.2.1/32")
	others[1].Audience = ""
	others[2].KeyID = "cccccccccccc"
	others[3].Proved = false
	others[4].Code = keys.CodeDisabled
	others[5].Scope = "tools:a"
	s := f.another()
	if err := s.AddDenials(t.Context(), append(others, full)); err != nil {
		t.Fatalf("AddDenials: %v", err)
	}
	got, err := f.store.Denials(t.Context(), store.DenialQuery{})
	if err != nil || len(got) != 8 || got[0].Calls != 4 {
		t.Errorf("Denials: got %+v, %v, want 8, the first with 4 calls", got, err)
	}
	if page, err := f.store.Audit(t.Context(), audit.Query{}); err != nil || len(page.Events) != 0 {
		t.Errorf("Audit: got %d rows, %v; denials must not be in it", len(page.Events), err)
	}
}

func denialsSelect(_ *testing.T, f *fixture) {
	a, b, c := denial(0, keys.CodeRevoked, 1), denial(time.Minute, keys.CodeRevoked, 1), denial(2*time.Minute, keys.CodeExpired, 1)
	b.KeyID = "bbbbbbbbbbbb"
	f.addDenials(a, b, c)
	f.wantDenials("key", store.DenialQuery{KeyID: "aaaaaaaaaaaa"}, a, c)
	f.wantDenials("code", store.DenialQuery{Code: keys.CodeRevoked}, a, b)
	f.wantDenials("both", store.DenialQuery{Code: keys.CodeRevoked, KeyID: "bbbbbbbbbbbb"}, b)
	f.wantDenials("since", store.DenialQuery{Since: minute.Add(-time.Second)}, a, b)
	f.wantDenials("limit", store.DenialQuery{Limit: 1}, a)
	f.wantDenials("wildcard", store.DenialQuery{KeyID: "%"})
}

func denialsAreBounded(t *testing.T, f *fixture) {
	proved := denial(time.Hour, keys.CodeRevoked, 1)
	f.addDenials(proved)
	var flood []usage.Denial
	for i := range usage.DenialsKept + 10 {
		d := denial(time.Duration(i)*time.Second, keys.CodeNotFound, 1)
		d.Minute = d.Minute.Truncate(time.Minute)
		d.KeyID, d.Proved = strconv.Itoa(i), false
		flood = append(flood, d)
	}
	f.addDenials(flood...)
	got, err := f.store.Denials(t.Context(), store.DenialQuery{Limit: 3 * usage.DenialsKept})
	if err != nil || len(got) != usage.DenialsKept+1 {
		t.Errorf("Denials after a flood: got %d, %v, want %d", len(got), err, usage.DenialsKept+1)
	}
	f.wantDenials("of a caller with a key", store.DenialQuery{Code: keys.CodeRevoked}, proved)
	f.setClock(start.Add(2 * usage.Kept))
	newest := denial(-2*usage.Kept, keys.CodeDisabled, 1)
	f.addDenials(newest)
	f.wantDenials("long after", store.DenialQuery{}, newest)
}

// rows is how many rows of denials each audience has.
func (f *fixture) rows() map[string]int {
	f.t.Helper()
	list, err := f.store.Denials(f.t.Context(), store.DenialQuery{Limit: 3 * usage.DenialsKept})
	if err != nil {
		f.t.Fatalf("Denials: %v", err)
	}
	rows := map[string]int{}
	for _, d := range list {
		rows[d.Audience]++
	}
	return rows
}

// The rows of several audiences are more than are kept. The audiences with the most rows lose
// their oldest ones.
func denialsAreShared(t *testing.T, f *fixture) {
	add := func(audience string, n int, ago time.Duration) {
		var list []usage.Denial
		for i := range n {
			d := denial(ago, keys.CodeNotFound, 1)
			d.Audience, d.KeyID = audience, strconv.Itoa(i)
			list = append(list, d)
		}
		f.addDenials(list...)
	}
	want := func(what string, rows map[string]int) {
		t.Helper()
		if d := cmp.Diff(rows, f.rows()); d != "" {
			t.Errorf("%s: rows (-want +got):\n%s", what, d)
		}
	}
	const all = usage.DenialsKept
	add("maps", 100, time.Hour)
	add("weather", all-100, 0)
	want("as many as are kept", map[string]int{"maps": 100, "weather": all - 100})
	for ago := time.Minute; ago >= 0; ago -= time.Minute {
		add("flood", all, ago)
	}
	want("after a flood", map[string]int{"maps": 100, "weather": (all - 100) / 2, "flood": (all - 100) / 2})
	f.wantDenials("the newest of the flood", store.DenialQuery{KeyID: strconv.Itoa(all - 1)}, usage.Denial{
		Minute: minute, Code: keys.CodeNotFound, KeyID: strconv.Itoa(all - 1), Proved: true, Audience: "flood", Calls: 1,
	})
	add("", 10, 0)
	want("of a guard without an audience", map[string]int{"": 10, "maps": 100, "weather": (all - 110) / 2, "flood": (all - 110) / 2})
}

func futureDenialIsNow(_ *testing.T, f *fixture) {
	f.setClock(start)
	before, far := denial(time.Minute, keys.CodeRevoked, 1), denial(-73*365*24*time.Hour, keys.CodeExpired, 2)
	f.addDenials(before)
	f.addDenials(far)
	f.wantDenials("after one of the future", store.DenialQuery{}, denial(0, keys.CodeExpired, 2), before)
}

func denialsAreOneTransaction(t *testing.T, f *fixture) {
	bad := denial(0, "", 1)
	if err := f.store.AddDenials(t.Context(), []usage.Denial{denial(0, keys.CodeRevoked, 1), bad}); err == nil {
		t.Error("AddDenials without a code: got no error")
	}
	if err := f.store.AddDenials(cancelled(t), []usage.Denial{denial(0, keys.CodeRevoked, 1)}); err == nil {
		t.Error("AddDenials with a cancelled context: got no error")
	}
	f.addDenials(denial(0, keys.CodeExpired, 1))
	f.wantDenials("after failures", store.DenialQuery{}, denial(0, keys.CodeExpired, 1))
	s := f.another()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.AddDenials(t.Context(), []usage.Denial{denial(0, keys.CodeRevoked, 1)}); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("AddDenials after Close: got %v, want ErrUnavailable", err)
	}
	if _, err := s.Denials(t.Context(), store.DenialQuery{}); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("Denials after Close: got %v, want ErrUnavailable", err)
	}
}
