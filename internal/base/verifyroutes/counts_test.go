package verifyroutes_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
)

// use is the sum of the calls of a key.
func use(t *testing.T, f *servertest.Fixture, id string) (calls int64, last []keys.LastUse) {
	t.Helper()
	u, err := f.Store.Usage(context.Background(), id, time.Now().Add(-24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return u.Calls(), u.Last
}

func TestCounts(t *testing.T) {
	f := servertest.New(t)
	g := newGuard(t, f, "weather")
	token, id := f.Issue(admin.IssueRequest{Audience: []string{"weather"}})
	_, second := f.Issue(admin.IssueRequest{})
	pass := *g.prove(token).Pass
	future := time.Now().Add(48 * time.Hour)
	m := protocol.Counts{
		From: g.from, N: 1,
		Uses: []protocol.Use{
			{
				KeyID: id, Secret: 1, Pass: pass,
				Counts: []protocol.Count{
					{Hour: future, Code: "valid", Calls: 3},
					{Hour: time.Now(), Code: "valid", Scope: token, Calls: 2},
					{Hour: time.Now(), Code: "nonsense", Calls: 100},
					{Hour: time.Now(), Code: "valid", Calls: -100},
				},
				Last: []protocol.LastUse{{Secret: 1, Pass: pass, At: future, ClientIP: "192.0.2.7", Agent: "curl/8 x"}},
			},
			{KeyID: second, Secret: 1, Pass: pass, Counts: []protocol.Count{{Hour: time.Now(), Code: "valid", Calls: 7}}},
		},
		Denials: []protocol.Denial{
			{Minute: future, Code: "revoked", KeyID: id, Secret: 1, Pass: &pass, Source: "192.0.2.7/24", Audience: "maps", Calls: 1},
			{Minute: time.Now(), Code: "revoked", KeyID: second, Secret: 1, Pass: &pass, Calls: 2},
			{Minute: time.Now(), Code: "not_found", KeyID: id, Calls: 3},
			{Minute: time.Now(), Code: "insufficient_scope", KeyID: id, Secret: 1, Pass: &pass, Scope: token + " tools:x", Calls: 4},
			{Minute: time.Now(), Code: "valid", Calls: 5},
			{Minute: time.Now(), Code: "malformed", KeyID: token, Calls: 6},
		},
	}
	for range 3 { // a lost answer makes the verifier repeat it
		ask[struct{}](g, protocol.PathCounts, m)
	}
	calls, last := use(t, f, id)
	if calls != 3 || len(last) != 1 || last[0].At.After(time.Now()) || last[0].Agent != "curl/8" || last[0].ClientIP.String() != "192.0.2.7" {
		t.Errorf("got %d calls, last %+v, want 3, until now", calls, last)
	}
	if calls, _ := use(t, f, second); calls != 0 {
		t.Errorf("a key that was not proved: got %d calls, want none", calls)
	}
	denials, err := f.Store.Denials(context.Background(), store.DenialQuery{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[int64]usage.Denial{}
	for _, d := range denials {
		got[d.Calls] = d
		if d.Audience != "weather" || d.Minute.After(time.Now()) {
			t.Errorf("got %+v, want the caller's audience, and no time in the future", d)
		}
	}
	if len(got) != 4 || !got[1].Proved || got[1].Source.String() != "192.0.2.7/32" || got[2].Proved || got[3].Proved || !got[4].Proved || got[4].Scope != usage.OtherScopes {
		t.Errorf("got %+v, want four rows, proved only with the pass of their key", got)
	}
	m.N, m.Denials, m.Uses = 2, nil, m.Uses[:1]
	m.Uses[0].Counts = m.Uses[0].Counts[:1]
	done := make(chan int)
	for range 8 {
		go func() { done <- g.post(protocol.PathCounts, m).Status }()
	}
	for range 8 {
		if status := <-done; status != 200 {
			t.Errorf("at once: got %d, want 200", status)
		}
	}
	if calls, _ := use(t, f, id); calls != 6 {
		t.Errorf("the same message eight times at once: got %d calls, want 6", calls)
	}
	m.N = 1
	ask[struct{}](g, protocol.PathCounts, m)
	m.N, m.From = 1, g.twin().from
	ask[struct{}](g, protocol.PathCounts, m) // its pass is not good there
	if calls, _ := use(t, f, id); calls != 6 {
		t.Errorf("an old message, and another process: got %d calls, want 6", calls)
	}
	for name, m := range map[string]protocol.Counts{
		"no number": {From: g.from}, "too many uses": {From: g.from, N: 9, Uses: make([]protocol.Use, 1001)},
		"too many denials": {From: g.from, N: 9, Denials: make([]protocol.Denial, 1001)},
		"a key twice":      {From: g.from, N: 9, Uses: []protocol.Use{m.Uses[0], {KeyID: second}, m.Uses[0]}},
	} {
		if p := g.post(protocol.PathCounts, m).Problem(t); p.Status != 422 {
			t.Errorf("%s: got %+v, want 422", name, p)
		}
	}
}

// The attack: a guard to which one secret of a key was proved says that the key's other secret
// is in use, or is no longer.
func TestUseOfAnotherSecret(t *testing.T) {
	f := servertest.New(t)
	g := newGuard(t, f)
	m, err := admin.NewLocal(f.Store, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	token, id := f.Issue(admin.IssueRequest{})
	first := *g.prove(token).Pass
	rotated, err := m.Rotate(t.Context(), id, admin.RotateRequest{})
	if err != nil {
		t.Fatal(err)
	}
	count := []protocol.Count{{Hour: time.Now(), Code: "valid", Calls: 1}}
	last := func(secret int64, pass protocol.Pass) []protocol.LastUse {
		return []protocol.LastUse{{Secret: secret, Pass: pass, At: time.Now(), Agent: "curl"}}
	}
	send := func(n int64, one protocol.Use, d protocol.Denial) {
		t.Helper()
		one.KeyID, one.Counts, d.KeyID, d.Code, d.Minute, d.Calls = id, count, id, "expired", time.Now(), 1
		ask[struct{}](g, protocol.PathCounts, protocol.Counts{From: g.from, N: n, Uses: []protocol.Use{one}, Denials: []protocol.Denial{d}})
	}
	send(1, protocol.Use{Secret: 1, Pass: first, Last: last(2, first)}, protocol.Denial{Secret: 2, Pass: &first})
	send(2, protocol.Use{Secret: 2, Pass: first, Last: last(2, first)}, protocol.Denial{Pass: &first})
	if calls, uses := use(t, f, id); calls != 1 || len(uses) != 0 {
		t.Errorf("with the pass of the first secret: got %d calls, %+v, want one, and no use of the second", calls, uses)
	}
	denials, err := f.Store.Denials(t.Context(), store.DenialQuery{})
	if err != nil || len(denials) == 0 || slices.ContainsFunc(denials, func(d usage.Denial) bool { return d.Proved }) {
		t.Errorf("Denials: got %+v, %v, want none that is proved", denials, err)
	}
	a := g.prove(rotated.Token.Reveal())
	if a.Secret != 2 || a.Pass == nil || *a.Pass == first {
		t.Fatalf("the second secret: got %+v, want a pass of its own", a)
	}
	send(3, protocol.Use{Secret: 2, Pass: *a.Pass, Last: append(last(2, *a.Pass), last(1, first)...)}, protocol.Denial{Secret: 2, Pass: a.Pass})
	if calls, uses := use(t, f, id); calls != 2 || len(uses) != 2 {
		t.Errorf("with both passes: got %d calls, %+v, want two, and a use of both secrets", calls, uses)
	}
}

// A22. The attack: three messages of one verify key have more denials than the store keeps, and
// push out those of all other audiences.
func TestA22DenialsOfOneVerifyKey(t *testing.T) {
	f := servertest.New(t)
	g, other := newGuard(t, f, "weather"), newGuard(t, f, "maps")
	const theirs = 100
	send := func(g *guard, n int64, rows int, minute time.Time) {
		m := protocol.Counts{From: g.from, N: n}
		for i := range rows {
			source := fmt.Sprintf("10.%d.%d.%d/32", n, i/250, i%250)
			m.Denials = append(m.Denials, protocol.Denial{Minute: minute, Code: "not_found", Source: source, Calls: 1})
		}
		ask[struct{}](g, protocol.PathCounts, m)
	}
	send(other, 1, theirs, time.Now().Add(-time.Minute))
	for n := range int64(3) {
		send(g, n+1, protocol.MaxDenials, time.Now())
	}
	all, err := f.Store.Denials(t.Context(), store.DenialQuery{Limit: 5000})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for _, d := range all {
		rows[d.Audience]++
	}
	if rows["maps"] != theirs || rows["weather"] == 0 || rows["weather"] > 2*640 { // twice, if a minute ended in between
		t.Errorf("got %v rows, want all %d of maps, and at most 640 a minute of weather", rows, theirs)
	}
}

// A22. The attack: a message names one key a thousand times, and so has a thousand times the counts
// that are allowed for a key.
func TestA22OneKeyManyTimes(t *testing.T) {
	f := servertest.New(t)
	g := newGuard(t, f, "weather")
	token, id := f.Issue(admin.IssueRequest{})
	m := protocol.Counts{From: g.from, N: 1}
	pass := *g.prove(token).Pass
	for i := range protocol.MaxUses {
		m.Uses = append(m.Uses, protocol.Use{KeyID: id, Secret: 1, Pass: pass, Counts: []protocol.Count{
			{Hour: time.Now(), Code: "valid", Scope: fmt.Sprintf("tools:%d", i), Calls: 1},
		}})
	}
	if p := g.post(protocol.PathCounts, m).Problem(t); p.Status != 422 || len(p.Errors) != 1 || p.Errors[0].Field != "uses" {
		t.Errorf("got %+v, want 422 about uses", p)
	}
	if u, err := f.Store.Usage(t.Context(), id, time.Now().Add(-usage.Kept)); err != nil || len(u.Counts) != 0 {
		t.Errorf("got %d rows, %v, want none", len(u.Counts), err)
	}
	m.Uses = m.Uses[:1]
	ask[struct{}](g, protocol.PathCounts, m) // the refused one does not use up the number
}

// A22. The attack: one message of a verify key puts thousands of rows into the usage file, for a
// key of which it knows one secret: under many scopes, texts that are not scopes, and hours of the
// past.
func TestA22UsesOfOneKey(t *testing.T) {
	f := servertest.New(t)
	g := newGuard(t, f, "weather")
	token, id := f.Issue(admin.IssueRequest{})
	one := protocol.Use{KeyID: id, Secret: 1, Pass: *g.prove(token).Pass}
	now := time.Now()
	for i := range 150 {
		one.Counts = append(one.Counts, protocol.Count{Hour: now, Code: "valid", Scope: fmt.Sprintf("tools:%d", i), Calls: 1})
	}
	for _, scope := range []string{token, "a b", "tools:*", strings.Repeat("x", 129)} {
		one.Counts = append(one.Counts, protocol.Count{Hour: now, Code: "valid", Scope: scope, Calls: 1})
	}
	for i := range 50 {
		one.Counts = append(one.Counts, protocol.Count{Hour: now.Add(-7*24*time.Hour - time.Duration(i+1)*time.Hour), Code: "valid", Calls: 1})
	}
	one.Counts = append(one.Counts, protocol.Count{Hour: now.Add(-6 * 24 * time.Hour), Code: "valid", Calls: 1})
	ask[struct{}](g, protocol.PathCounts, protocol.Counts{From: g.from, N: 1, Uses: []protocol.Use{one}})
	u, err := f.Store.Usage(t.Context(), id, now.Add(-usage.Kept))
	if err != nil {
		t.Fatal(err)
	}
	scopes, hours := map[string]int64{}, map[time.Time]int64{}
	for _, c := range u.Counts {
		if c.Scope != "" {
			scopes[c.Scope] += c.Calls
		} else {
			hours[c.Hour] += c.Calls
		}
	}
	if len(scopes) != 101 || scopes[usage.OtherScopes] != 50+4 {
		t.Errorf("got %d scopes, and %d calls of others, want 101 and 54", len(scopes), scopes[usage.OtherScopes])
	}
	oldest := now.Add(-7 * 24 * time.Hour)
	for hour, calls := range hours {
		if hour.Before(oldest.Add(-time.Hour)) {
			t.Errorf("got %d calls at %v, want none before %v", calls, hour, oldest)
		}
	}
	if got := u.Calls(); got != 51 || len(hours) != 2 {
		t.Errorf("got %d calls in %d hours, want 51 in 2: those that are late are moved, not lost", got, len(hours))
	}
}
