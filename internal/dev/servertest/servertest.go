// Package servertest runs the HTTP API for tests: a real key store in a temporary directory,
// the handler of `keyctl serve`, and a real connection. Call [New].
//
// It uses no fakes, and is for tests only.
package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/app/server"
	"github.com/mcpkeys/mcpkeys/internal/base/leases"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// Fixture is a running API. It is safe for concurrent use.
type Fixture struct {
	URL    string
	Path   string // of the database
	API    *restapi.API
	Store  *sqlite.Store
	Leases *leases.Registry
	Slot   *Slot
	Close  func() // stops the verifier, and records the use of keys

	t       testing.TB
	manager *admin.Local
	log     log
	mu      sync.Mutex
	names   int
}

// New starts an API over an empty key store; both end with the test. It believes the trusted
// proxies about their clients' addresses.
func New(t testing.TB, trusted ...netip.Prefix) *Fixture {
	t.Helper()
	f := &Fixture{t: t, Path: filepath.Join(t.TempDir(), "keys.db")}
	if err := sqlite.Create(f.Path, nil); err != nil {
		t.Fatalf("Create: %v", err)
	}
	var err error
	if f.Store, err = sqlite.Open(f.Path, nil); err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = f.Store.Close() })
	if f.manager, err = admin.NewLocal(f.Store, "test", nil); err != nil {
		t.Fatalf("NewLocal: %v", err)
	}
	logger := slog.New(slog.NewJSONHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o := &server.Options{DB: f.Path, Logger: logger, TrustedProxies: trusted}
	v, err := server.NewVerifier(f.Store, o)
	if err != nil {
		t.Fatalf("NewVerifier: %v", err)
	}
	f.Close = func() { _ = v.Close() }
	t.Cleanup(f.Close)
	f.Slot = &Slot{}
	f.Leases = leases.New(f.Store, f.Slot, &leases.Options{Logger: logger})
	o.Leases = f.Leases
	t.Cleanup(func() { _ = f.Leases.Close() })
	f.API = server.API(f.Store, v, o)
	handler, err := server.Handler(f.API, o)
	if err != nil {
		t.Fatalf("Handler: %v", err)
	}
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
	srv.Start()
	t.Cleanup(srv.Close)
	f.URL = srv.URL
	return f
}

// Log is all that was logged so far.
func (f *Fixture) Log() string { return f.log.String() }

type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Issue makes a key and returns its token and id. A name is made up if req has none.
func (f *Fixture) Issue(req admin.IssueRequest) (token, id string) {
	f.t.Helper()
	if req.Name == "" {
		f.mu.Lock()
		f.names++
		req.Name = fmt.Sprintf("key-%d", f.names)
		f.mu.Unlock()
	}
	issued, err := f.manager.Issue(context.Background(), req)
	if err != nil {
		f.t.Fatalf("Issue(%q): %v", req.Name, err)
	}
	return issued.Token.Reveal(), issued.Key.ID
}

// Admin makes an admin key with the scopes, all of them when none is named, that
// never expires.
func (f *Fixture) Admin(scopes ...string) string {
	f.t.Helper()
	token, _ := f.Issue(admin.IssueRequest{Kind: keys.KindAdmin, Scopes: scopes, Expires: keys.NeverExpires(), MaxKeyLife: keys.LifeForEver})
	return token
}

// VerifyKey makes the key of a guard on another host and returns its token.
func (f *Fixture) VerifyKey(audience string) string {
	f.t.Helper()
	token, _ := f.Issue(admin.IssueRequest{
		Kind: keys.KindAdmin, Scopes: []string{keys.ScopeVerify}, Audience: []string{audience}, Expires: keys.NeverExpires(),
	})
	return token
}

// Revoke ends the key.
func (f *Fixture) Revoke(id string) {
	f.t.Helper()
	if _, err := f.manager.Revoke(context.Background(), id, ""); err != nil {
		f.t.Fatalf("Revoke(%s): %v", id, err)
	}
}

// State is what no refused request may change.
type State struct {
	Keys, Live, Events int
}

// State counts keys, unrevoked keys and audit rows.
func (f *Fixture) State() State {
	f.t.Helper()
	var s State
	for q := (keys.Query{Limit: keys.MaxLimit}); ; {
		page, err := f.Store.List(context.Background(), q)
		if err != nil {
			f.t.Fatalf("List: %v", err)
		}
		for _, k := range page.Keys {
			s.Keys++
			if k.RevokedAt.IsZero() {
				s.Live++
			}
		}
		if page.Next == "" {
			break
		}
		q.Cursor = page.Next
	}
	events, err := f.Store.Events(context.Background(), 0, 1_000_000)
	if err != nil {
		f.t.Fatalf("Events: %v", err)
	}
	s.Events = len(events)
	return s
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Problem decodes the answer as a problem, and fails the test unless it has the form that all
// problems have.
func (a Answer) Problem(t testing.TB) api.Problem {
	t.Helper()
	var p api.Problem
	dec := json.NewDecoder(strings.NewReader(a.Body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		t.Errorf("answer %d: got %q, want a problem: %v", a.Status, a.Body, err)
	}
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("answer %d: got Content-Type %q, want application/problem+json", a.Status, got)
	}
	if p.Type != "about:blank" || p.Title != http.StatusText(a.Status) || p.Status != a.Status || p.Detail == "" || p.Code == "" {
		t.Errorf("answer %d: got %+v, want every member of a problem", a.Status, p)
	}
	if p.RequestID == "" || p.RequestID != a.Header.Get("X-Request-Id") {
		t.Errorf("answer %d: got request_id %q and X-Request-Id %q, want one id", a.Status, p.RequestID, a.Header.Get("X-Request-Id"))
	}
	return p
}

// Read decodes a good answer into v.
func (a Answer) Read(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), v); err != nil {
		t.Fatalf("answer %d: got %q: %v", a.Status, a.Body, err)
	}
}

// Request makes a request with token as its bearer, none if it is empty. A body that
// is not empty is sent as JSON.
func (f *Fixture) Request(method, path, token, body string) *http.Request {
	f.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, f.URL+path, content)
	if err != nil {
		f.t.Fatalf("NewRequest(%s %s): %v", method, path, err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// Do sends r.
func (f *Fixture) Do(r *http.Request) Answer {
	f.t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		f.t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	return Answer{resp.StatusCode, resp.Header, string(text)}
}

// Send is Request and Do.
func (f *Fixture) Send(method, path, token, body string) Answer {
	f.t.Helper()
	return f.Do(f.Request(method, path, token, body))
}
