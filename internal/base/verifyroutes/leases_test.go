package verifyroutes_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

func TestRenew(t *testing.T) {
	f := servertest.New(t)
	g := newGuard(t, f, "weather")
	first := g.renew(0)
	if !first.All || first.Lease != feed.Lease.Milliseconds() || first.Position == 0 || time.Since(first.Time).Abs() > time.Minute {
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
