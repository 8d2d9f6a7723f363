package verifyroutes_test

import (
	"encoding/json"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
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
