package server_test

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/server"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/remote"
)

// far is a guard on another host, and who changes its keys.
type far struct {
	*servertest.Fixture
	t *testing.T
	m *admin.Local
	v *verifier.Verifier
}

func newFar(t *testing.T, f *servertest.Fixture, address string, o remote.Options) *far {
	t.Helper()
	o.Key, o.Audience, o.Logger = keys.NewSecret(f.VerifyKey("weather")), "weather", slog.New(slog.DiscardHandler)
	v, err := verifier.New(remote.New(address, &o), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	m, err := admin.NewLocal(f.Store, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	return &far{f, t, m, v}
}

func (g *far) check(token string) keys.Decision {
	return g.v.Authenticate(g.t.Context(), token, verifier.Call{Audience: "weather"})
}

// revoke revokes a key that the guard remembers, and then checks it at once.
func (g *far) revoke() {
	g.t.Helper()
	token, id := g.Issue(admin.IssueRequest{Audience: []string{"weather"}})
	for range 3 {
		if d := g.check(token); !d.Valid() {
			g.t.Fatalf("got %s: %v, want valid", d.Code, d.Cause)
		}
	}
	w := &store.Wait{}
	if _, err := g.m.Revoke(store.WithWait(g.t.Context(), w), id, ""); err != nil {
		g.t.Fatal(err)
	}
	if d := g.check(token); d.Code != keys.CodeRevoked {
		g.t.Fatalf("after the revoke returned: got %s: %v, want revoked", d.Code, d.Cause)
	}
	if w.Unheard > 0 {
		g.t.Errorf("%d servers were not heard, want a guard that renews in time", w.Unheard)
	}
}

// streaming waits until the server lists the guard with a stream.
func streaming(t *testing.T, f *servertest.Fixture) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		list, err := connect.Settings{DB: f.Path}.Verifiers(t.Context())
		if err == nil && len(list) == 1 && list[0].Streaming {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("got %+v, %v, want a guard with a stream", list, err)
		}
	}
}

// A17. Over TLS and HTTP/2 the stream and the renewals share a connection.
func TestA17RemoteGuardOverHTTP2(t *testing.T) {
	f := servertest.New(t)
	cert, key, pool := certificate(t)
	log, stop := start(t, server.Options{DB: f.Path, Listen: "127.0.0.1:0", TLSCert: cert, TLSKey: key}, 1)
	only := new(http.Protocols)
	only.SetHTTP2(true)
	g := newFar(t, f, addressIn(t, log), remote.Options{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"}, Protocols: only,
	}})
	streaming(t, f)
	for range 5 {
		g.revoke()
	}
	if err := g.v.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// A17. A proxy that keeps the stream back delays a revoke, and the guard accepts nothing after it.
func TestA17ProxyThatBuffers(t *testing.T) {
	f := servertest.New(t)
	log, stop := start(t, server.Options{DB: f.Path, Listen: "127.0.0.1:0"}, 1)
	to, err := url.Parse(addressIn(t, log))
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.ServeHTTP(struct{ http.ResponseWriter }{w}, r) // it cannot flush
	}))
	t.Cleanup(func() { front.CloseClientConnections(); front.Close() })
	g := newFar(t, f, front.URL, remote.Options{InsecureHTTP: true})
	streaming(t, f) // as the server sees it
	for range 3 {
		g.revoke()
	}
	if err := g.v.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	front.CloseClientConnections()
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}
