package verifyroutes_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/importing"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

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
