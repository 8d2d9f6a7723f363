package verifyroutes_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"
	"golang.org/x/crypto/bcrypt"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/admin/importing"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
)

// guard is one process of a verify key, as the server sees it.
type guard struct {
	*servertest.Fixture
	t     *testing.T
	token string
	from  protocol.From
	era   string
}

// newGuard issues a verify key for an audience, and a process of it.
func newGuard(t *testing.T, f *servertest.Fixture, audience ...string) *guard {
	t.Helper()
	if len(audience) == 0 {
		audience = []string{"weather"}
	}
	token, _ := f.Issue(admin.IssueRequest{
		Kind: keys.KindAdmin, Scopes: []string{keys.ScopeVerify}, Audience: audience, Expires: keys.NeverExpires(),
	})
	return &guard{Fixture: f, t: t, token: token, from: protocol.From{Instance: protocol.NewInstance()}}
}

// twin is another process of the same verify key.
func (g *guard) twin() *guard {
	return &guard{Fixture: g.Fixture, t: g.t, token: g.token, from: protocol.From{Instance: protocol.NewInstance(), Audience: g.from.Audience}}
}

func (g *guard) post(path string, m any) servertest.Answer {
	g.t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		g.t.Fatal(err)
	}
	return g.Send("POST", path, g.token, string(body))
}

func ask[A any](g *guard, path string, m any) (out A) {
	g.t.Helper()
	a := g.post(path, m)
	if a.Status != 200 || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" {
		g.t.Fatalf("%s: got %d %v %s, want 200", path, a.Status, a.Header, a.Body)
	}
	a.Read(g.t, &out)
	return out
}

func (g *guard) renew(applied protocol.Position) protocol.Granted {
	g.t.Helper()
	out := ask[protocol.Granted](g, protocol.PathLease, protocol.Renewal{From: g.from, Applied: applied, Era: g.era})
	g.era = out.Era
	return out
}

func (g *guard) prove(token string) protocol.Answer {
	g.t.Helper()
	return ask[protocol.Answer](g, protocol.PathProve, protocol.Question{From: g.from, Token: token})
}

func (g *guard) key(id string, secret int64, pass protocol.Pass) protocol.Answer {
	g.t.Helper()
	return ask[protocol.Answer](g, protocol.PathKey, protocol.KeyQuestion{From: g.from, KeyID: id, Secret: secret, Pass: pass})
}

func TestRenew(t *testing.T) {
	f := servertest.New(t)
	g := newGuard(t, f, "weather")
	first := g.renew(0)
	if !first.All || first.Lease != protocol.Lease.Milliseconds() || first.Position == 0 || time.Since(first.Time).Abs() > time.Minute {
		t.Fatalf("got %+v, want everything, and a lease", first)
	}
	g.renew(first.Position)
	_, id := f.Issue(admin.IssueRequest{})
	f.Revoke(id)
	second := g.renew(first.Position)
	if second.All || !slices.Equal(second.Drop, []protocol.Tag{g.from.Instance.TagOf(id)}) || second.Position <= first.Position {
		t.Errorf("after a revoke: got %+v, want the key's tag", second)
	}
	if p := g.post(protocol.PathLease, protocol.Renewal{From: g.from, Applied: second.Position + 1}).Problem(t); p.Status != 400 || p.Code != "position_beyond" {
		t.Errorf("beyond: got %+v, want 400 position_beyond", p)
	}
	f.Slot.Lose()
	if g := g.renew(second.Position); g.Lease != 0 {
		t.Errorf("without a slot: got %+v, want no lease", g)
	}
}

// A message is refused as every other request: by the key, its audience, and the form.
func TestRefusedMessages(t *testing.T) {
	f := servertest.New(t)
	g := newGuard(t, f, "weather")
	two := newGuard(t, f, "weather", "maps")
	ordinary, _ := f.Issue(admin.IssueRequest{})
	instance := `"instance":"000102030405060708090a0b0c0d0e0f"`
	for name, c := range map[string]struct {
		token, method, body string
		status              int
	}{
		"without a key":               {"", "POST", `{` + instance + `}`, 401},
		"an ordinary key":             {ordinary, "POST", `{` + instance + `}`, 401},
		"another scope":               {f.Admin(keys.ScopeKeysRead), "POST", `{` + instance + `}`, 403},
		"another audience":            {g.token, "POST", `{` + instance + `,"audience":"maps"}`, 403},
		"several audiences, not one":  {two.token, "POST", `{` + instance + `}`, 403},
		"an audience that is not one": {g.token, "POST", `{` + instance + `,"audience":"a b"}`, 422},
		"GET":                         {g.token, "GET", "", 405},
		"without a body":              {g.token, "POST", "", 422},
		"without an instance":         {g.token, "POST", `{}`, 422},
		"a zero instance":             {g.token, "POST", `{"instance":"` + strings.Repeat("0", 32) + `"}`, 422},
		"an unknown member":           {g.token, "POST", `{` + instance + `,"sort":1}`, 422},
		"another case":                {g.token, "POST", `{` + instance + `,"Audience":"weather"}`, 422},
		"twice":                       {g.token, "POST", `{` + instance + `,` + instance + `}`, 422},
		"trailing data":               {g.token, "POST", `{` + instance + `}{}`, 422},
		"too large":                   {g.token, "POST", `{` + instance + `,"audience":"` + strings.Repeat("x", 1<<20) + `"}`, 413},
	} {
		for _, path := range []string{protocol.PathLease, protocol.PathChanges, protocol.PathProve, protocol.PathKey, protocol.PathCounts} {
			a := f.Send(c.method, path, c.token, c.body)
			if p := a.Problem(t); p.Status != c.status || strings.Contains(a.Body, "0001020304") {
				t.Errorf("%s %s: got %d %s, want %d", path, name, a.Status, a.Body, c.status)
			}
		}
	}
	if a := f.Send("POST", protocol.PathLease+"?x=1", g.token, `{`+instance+`}`); a.Problem(t).Status != 422 {
		t.Errorf("a query: got %d, want 422", a.Status)
	}
	plain := f.Request("POST", protocol.PathLease, g.token, `{`+instance+`}`)
	plain.Header.Set("Content-Type", "text/plain")
	if a := f.Do(plain); a.Problem(t).Status != 415 {
		t.Errorf("text/plain: got %d, want 415", a.Status)
	}
}

// Renewals come twice a second from each verifier, so only refusals are logged; and no secret is.
func TestMessagesAreLoggedIfRefused(t *testing.T) {
	f := servertest.New(t)
	g := newGuard(t, f, "weather")
	token, _ := f.Issue(admin.IssueRequest{Audience: []string{"weather"}})
	lines := func() int { return strings.Count(f.Log(), `"level":"INFO","msg":"request"`) }
	before := lines()
	g.prove(token)
	g.prove("not a token")
	g.renew(0)
	if got := lines(); got != before {
		t.Errorf("got %d lines for good messages, want none", got-before)
	}
	g.post(protocol.PathLease, protocol.Renewal{From: g.from, Applied: 1 << 60})
	g.post(protocol.PathProve, protocol.Question{From: protocol.From{Instance: g.from.Instance, Audience: "maps"}, Token: token})
	if got := lines(); got != before+2 {
		t.Errorf("got %d lines for two refusals, want 2", got-before)
	}
	for _, secret := range []string{token, token[18:48], g.token, fmt.Sprintf("%x", g.from.Instance)} {
		if strings.Contains(f.Log(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
}

func TestProve(t *testing.T) {
	f := servertest.New(t)
	g := newGuard(t, f, "weather")
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	token, id := f.Issue(admin.IssueRequest{
		Owner: "ann", Scopes: []string{"tools:a"}, Audience: []string{"maps", "weather"}, Expires: keys.ExpiresAt(expires),
		RateLimit: keys.RateLimit{Count: 5, Window: time.Minute, Burst: 5}, Metadata: map[string]string{"team": "x"},
	})
	a := g.prove(token)
	k := a.Key
	if a.KeyID != id || a.Secret != 1 || a.Pass == nil || a.Position == 0 || a.Time.IsZero() || k == nil || a.Tampered {
		t.Fatalf("got %+v, want the key", a)
	}
	if k.ID != id || k.Kind != "key" || k.Withheld || k.Owner != "ann" || !slices.Equal(k.Scopes, []string{"tools:a"}) ||
		!slices.Equal(k.Audience, []string{"weather"}) || k.RateLimit != "5/m" || k.Metadata["team"] != "x" || !k.ExpiresAt.Equal(expires) ||
		k.Version != 1 || len(k.Secrets) != 1 || k.Secrets[0].Number != 1 {
		t.Errorf("got %+v, want all that a guard needs, and only its own audience", k)
	}
	wrong := keys.NewTokenFor(keys.KindKey, id).Secret().Reveal()
	if a := g.prove(wrong); a.KeyID != "" || a.Key != nil || a.Secret != 0 || a.Pass != nil {
		t.Errorf("a wrong secret: got %+v, want nothing about the key", a)
	}
	for name, text := range map[string]string{
		"an unknown id": keys.NewToken(keys.KindKey).Secret().Reveal(), "junk": "x", "nothing": "", "an imported form": "sk-" + strings.Repeat("a", 40),
		"long junk": strings.Repeat("x", 5000),
	} {
		if a := g.prove(text); a.KeyID != "" || a.Key != nil || a.Secret != 0 || a.Tampered || a.Position == 0 {
			t.Errorf("%s: got %+v, want nothing", name, a)
		}
	}
	open, _ := f.Issue(admin.IssueRequest{})
	if a := g.prove(open); a.Key == nil || a.Key.Withheld || len(a.Key.Audience) != 0 {
		t.Errorf("a key for every server: got %+v, want it without an audience", a.Key)
	}
	maps, _ := f.Issue(admin.IssueRequest{Owner: "bob", Audience: []string{"maps"}})
	for name, token := range map[string]string{"another audience": maps, "an admin key": f.Admin()} {
		a := g.prove(token)
		if a.Secret != 1 || a.Pass != nil || a.Key == nil || !a.Key.Withheld || len(a.Key.Secrets) != 1 || !a.Key.Secrets[0].ExpiresAt.IsZero() {
			t.Fatalf("%s: got %+v, want a withheld key", name, a)
		}
		a.Key.Secrets, a.Key.Withheld, a.Key.ID, a.Key.Kind, a.Key.Version = nil, false, "", "", 0
		if got := fmt.Sprintf("%+v", *a.Key); got != fmt.Sprintf("%+v", protocol.Key{}) {
			t.Errorf("%s: got %s, want nothing of the key", name, got)
		}
	}
	before := g.renew(0).Position
	f.Send("POST", "/v1/keys/"+id+"/rotate", f.Admin(), `{"grace":"0s"}`)
	if a := g.prove(token); a.Ended == nil || a.Ended.Secret != 1 || a.KeyID != id || a.Key != nil || a.Position <= before {
		t.Errorf("a secret that a rotation ended: got %+v, want that, from a later position", a)
	}
}

// imports adds a key of another system, with a slow hash of its token ID.s3cret.
func imports(t *testing.T, f *servertest.Fixture, id string) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("s3cret"), 10)
	if err != nil {
		t.Fatal(err)
	}
	r := importing.Row{Line: 1, ID: id, IssueRequest: admin.IssueRequest{Name: id}}
	if r.Hash, err = pepper.ParseHash(string(hash)); err != nil {
		t.Fatal(err)
	}
	m, err := admin.NewLocal(f.Store, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	report, err := importing.Import(t.Context(), m, func(yield func(importing.Row, error) bool) { yield(r, nil) }, importing.Options{})
	if err != nil {
		t.Fatalf("Import: %v (%v)", err, report.Reasons)
	}
}

// guess sends wrong secrets of a key under a slow hash, as many at once as clients says. It returns
// when all clients are at work; what they get is 200, or 503 with the time to come back, and the
// returned function ends them and counts the 503.
func (g *guard) guess(id string, clients int) (end func() (busy int64)) {
	var wg sync.WaitGroup
	var stop atomic.Bool
	var busy, sent atomic.Int64
	for range clients {
		wg.Go(func() {
			for !stop.Load() {
				n := sent.Add(1)
				a := g.post(protocol.PathProve, protocol.Question{From: g.from, Token: fmt.Sprintf("%s.wrong-%d", id, n)})
				if a.Status == 503 && a.Header.Get("Retry-After") != "" {
					busy.Add(1)
				} else if a.Status != 200 {
					g.t.Errorf("a wrong secret: got %d %v %s, want 200, or 503 with Retry-After", a.Status, a.Header, a.Body)
				}
			}
		})
	}
	for sent.Load() < int64(clients)+2 {
		time.Sleep(time.Millisecond)
	}
	end = func() int64 {
		stop.Store(true)
		wg.Wait()
		return busy.Load()
	}
	g.t.Cleanup(func() { end() })
	return end
}

// proveSoon repeats a question that has to wait for its turn: a hash may take a second.
func (g *guard) proveSoon(token string) (out protocol.Answer) {
	g.t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		a := g.post(protocol.PathProve, protocol.Question{From: g.from, Token: token})
		if a.Status == http.StatusOK {
			a.Read(g.t, &out)
			return out
		}
		if a.Status != http.StatusServiceUnavailable || time.Now().After(end) {
			g.t.Fatalf("got %d %s", a.Status, a.Body)
		}
	}
}

// A6. The attack: one client of a guarded server sends wrong secrets for a key under a slow hash,
// and all other clients of that server whose keys have slow hashes are refused.
func TestA6WrongClient(t *testing.T) {
	f := servertest.New(t)
	g := newGuard(t, f, "weather")
	for _, id := range []string{"target", "known", "first", "second", "third"} {
		imports(t, f, id)
	}
	known := g.prove("known.s3cret")
	end := g.guess("target", 1)
	for _, id := range []string{"first", "second", "third", "known"} {
		if a := g.proveSoon(id + ".s3cret"); a.Secret != 1 {
			t.Errorf("%s: got %+v, want it proved", id, a)
		}
	}
	end()
	end = g.guess("target", 40)
	for range 20 { // a match that is remembered costs no slow hash, so it waits for none
		if a := g.prove("known.s3cret"); a.KeyID != known.KeyID || a.Secret != 1 {
			t.Errorf("a remembered match: got %+v, want it proved", a)
		}
	}
	if end() == 0 {
		t.Error("40 wrong secrets at once: got no refusal, want some")
	}
}

func TestTamperedKey(t *testing.T) {
	f := servertest.New(t)
	g := newGuard(t, f)
	token, id := f.Issue(admin.IssueRequest{})
	pass := g.prove(token).Pass
	db, err := sql.Open("sqlite3", f.Path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`UPDATE keys SET owner = 'bob' WHERE id = ?`, []byte(id)); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	for name, a := range map[string]protocol.Answer{"prove": g.prove(token), "key": g.key(id, 1, *pass)} {
		if !a.Tampered || a.KeyID != id || a.Key != nil || a.Secret != 0 {
			t.Errorf("%s: got %+v, want tampered", name, a)
		}
	}
}

// A key that can do more than verify, or at any server, has no place in a guard.
func TestOnlyVerifyKeys(t *testing.T) {
	f := servertest.New(t)
	for name, req := range map[string]admin.IssueRequest{
		"every scope": {Kind: keys.KindAdmin}, "another scope": {Kind: keys.KindAdmin, Scopes: []string{keys.ScopeVerify, keys.ScopeKeysRead}, Audience: []string{"weather"}},
		"no audience": {Kind: keys.KindAdmin, Scopes: []string{keys.ScopeVerify}},
	} {
		token, _ := f.Issue(req)
		g := &guard{Fixture: f, t: t, token: token, from: protocol.From{Instance: protocol.NewInstance(), Audience: "weather"}}
		if p := g.post(protocol.PathLease, protocol.Renewal{From: g.from}).Problem(t); p.Status != 403 || !strings.Contains(p.Detail, "scope verify and no other") {
			t.Errorf("%s: got %+v, want 403", name, p)
		}
	}
}

// A pass is good for the process of the verify key that proved the secret, and for that key.
// Without it the answer is that of an unknown key.
func TestKeyNeedsPass(t *testing.T) {
	f := servertest.New(t)
	g, other := newGuard(t, f), newGuard(t, f)
	token, id := f.Issue(admin.IssueRequest{})
	_, second := f.Issue(admin.IssueRequest{})
	pass := *g.prove(token).Pass
	f.Revoke(id)
	if a := g.key(id, 1, pass); a.Key == nil || a.Key.RevokedAt.IsZero() || a.KeyID != id {
		t.Fatalf("got %+v, want the revoked key", a)
	}
	wrong := pass
	wrong[15] ^= 1
	stolen := &guard{Fixture: f, t: t, token: other.token, from: g.from}
	for name, a := range map[string]protocol.Answer{
		"a wrong pass": g.key(id, 1, wrong), "no pass": g.key(id, 1, protocol.Pass{}), "another key": g.key(second, 1, pass), "another secret": g.key(id, 2, pass),
		"another process": g.twin().key(id, 1, pass), "another verify key": stolen.key(id, 1, pass), "an unknown key": g.key("AAAAAAAAAAAA", 1, pass), "no id": g.key("x", 1, pass),
	} {
		if a.Key != nil || a.KeyID != "" || a.Tampered || !a.Unproved || a.Position == 0 {
			t.Errorf("%s: got %+v, want no key", name, a)
		}
	}
}

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

// stream opens the stream of changes.
func (g *guard) stream() (*bufio.Reader, func()) {
	g.t.Helper()
	body, err := json.Marshal(g.from)
	if err != nil {
		g.t.Fatal(err)
	}
	r := g.Request("POST", protocol.PathChanges, g.token, string(body))
	ctx, cancel := context.WithCancel(context.Background())
	resp, err := http.DefaultTransport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		g.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" ||
		resp.Header.Get("X-Accel-Buffering") != "no" || resp.Header.Get("Cache-Control") != "no-store" {
		g.t.Fatalf("got %d %v, want a stream", resp.StatusCode, resp.Header)
	}
	return bufio.NewReader(resp.Body), func() { cancel(); _ = resp.Body.Close() }
}

// event reads one event; empty at the end of the stream.
func event(in *bufio.Reader) string {
	line, err := in.ReadString('\n')
	if err != nil {
		return ""
	}
	_, _ = in.ReadString('\n')
	return strings.TrimSuffix(line, "\n")
}

func TestChanges(t *testing.T) {
	f := servertest.New(t)
	g := newGuard(t, f, "weather")
	at := g.renew(0).Position
	in, stop := g.stream()
	defer stop()
	if got := event(in); got != fmt.Sprintf("data: %d", at) {
		t.Fatalf("got %q, want the position at once", got)
	}
	f.Issue(admin.IssueRequest{})
	began := time.Now()
	for last := at; ; {
		got := event(in)
		at, err := f.Leases.Position(t.Context())
		if err != nil || got == "" {
			t.Fatalf("got %q, %v, want an event", got, err)
		}
		if got == fmt.Sprintf("data: %d", at) && at > last {
			break
		}
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the change came after %v, want some milliseconds", took)
	}
	if v := f.Leases.List(); len(v) != 1 || !v[0].Streaming {
		t.Errorf("got %+v, want one verifier with a stream", v)
	}
	again, stopAgain := g.stream()
	defer stopAgain()
	event(again)
	drain(in)
	f.Leases.Leave()
	drain(again)
	body, _ := json.Marshal(g.from)
	if p := g.Send("POST", protocol.PathChanges, g.token, string(body)).Problem(t); p.Status != 503 {
		t.Errorf("a stream of a server that stops: got %+v, want 503", p)
	}
	if g.renew(at).Lease == 0 {
		t.Error("a renewal of a server that stops: got no lease")
	}
}

// drain reads a stream to its end.
func drain(in *bufio.Reader) {
	for more := true; more; more = event(in) != "" {
		continue
	}
}

// A17. The stream of a verify key ends when the key is revoked.
func TestChangesEndWithTheKey(t *testing.T) {
	f := servertest.New(t)
	g := newGuard(t, f, "weather")
	in, stop := g.stream()
	defer stop()
	event(in)
	token, err := keys.ParseToken(g.token)
	if err != nil {
		t.Fatal(err)
	}
	f.Revoke(token.ID())
	ended := make(chan struct{})
	go func() {
		drain(in)
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the stream of a revoked key did not end")
	}
}

// An answer that may be kept is published before the key is looked up.
func TestVerifyPublishesItsLease(t *testing.T) {
	f := servertest.New(t)
	adminKey := f.Admin(keys.ScopeVerify)
	token, _ := f.Issue(admin.IssueRequest{})
	var v api.Verification
	f.Send("POST", "/v1/verify", adminKey, `{"key":"`+token+`"}`).Read(t, &v)
	if v.Lease == nil || f.Slot.Handed().Before(*v.Lease) {
		t.Errorf("got lease %v, published %v, want at least as late", v.Lease, f.Slot.Handed())
	}
	f.Slot.Lose()
	time.Sleep(1100 * time.Millisecond)
	var lost api.Verification
	f.Send("POST", "/v1/verify", adminKey, `{"key":"`+token+`"}`).Read(t, &lost)
	if !lost.Valid || lost.Lease != nil {
		t.Errorf("without a slot: got %+v, want an answer that must not be kept", lost)
	}
}

func TestListVerifiers(t *testing.T) {
	f := servertest.New(t)
	g := newGuard(t, f, "weather")
	g.renew(0)
	var list api.Verifiers
	a := f.Send("GET", "/v1/verifiers", f.Admin(keys.ScopeAuditRead), "")
	a.Read(t, &list)
	if len(list.Data) != 1 || list.Data[0].Audience != "weather" || list.Data[0].Address != "127.0.0.1" || !list.Data[0].Behind {
		t.Errorf("got %s, want the verifier", a.Body)
	}
	if strings.Contains(a.Body, fmt.Sprintf("%x", g.from.Instance)) {
		t.Error("the list has the whole instance")
	}
	if a := f.Send("GET", "/v1/verifiers", f.Admin(keys.ScopeVerify), ""); a.Status != 403 {
		t.Errorf("without audit:read: got %d, want 403", a.Status)
	}
}
