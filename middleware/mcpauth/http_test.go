package mcpauth_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
)

// Attack A16, DNS rebinding and cross-site calls: a web page makes the victim's browser call a
// server on the victim's machine or network. Each case is tried without a key and with a valid
// one, as by a page that found a way to add headers.
func TestA16BrowsersOnForeignPages(t *testing.T) {
	s := newSite(t, nil, "add")
	token := s.Granted("tools:add")
	host := strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/mcp")
	for name, c := range map[string]struct {
		headers          []string
		without, withKey int
	}{
		"no Origin":              {nil, 401, 200},
		"own Origin":             {[]string{"Origin: http://" + host}, 401, 200},
		"foreign Origin":         {[]string{"Origin: http://evil.example"}, 403, 403},
		"null Origin":            {[]string{"Origin: null"}, 403, 403},
		"empty Origin":           {[]string{"Origin: "}, 403, 403},
		"other port":             {[]string{"Origin: http://127.0.0.1:1"}, 403, 403},
		"own host as a prefix":   {[]string{"Origin: http://" + host + ".evil.example"}, 403, 403},
		"own host as a suffix":   {[]string{"Origin: http://evil-" + host}, 403, 403},
		"own host as user":       {[]string{"Origin: http://" + host + "@evil.example"}, 403, 403},
		"foreign Host":           {[]string{"Host: evil.example"}, 421, 421},
		"foreign Host, Origin":   {[]string{"Host: evil.example", "Origin: http://evil.example"}, 421, 421},
		"form without preflight": {[]string{"Content-Type: text/plain"}, 401, 415},
		"foreign preflight page": {[]string{"Origin: https://evil.example", "Content-Type: text/plain"}, 403, 403},
	} {
		for token, want := range map[string]int{"": c.without, token: c.withKey} {
			r := callOf(modern, "add")
			r.token, r.headers = token, append(r.headers, c.headers...)
			if status, body := s.post(r); status != want {
				t.Errorf("%s, with a key: %v: got %d %s, want %d", name, token != "", status, body, want)
			}
			if ran := s.ran(); want != http.StatusOK && len(ran) != 0 {
				t.Errorf("%s: ran %v, want nothing", name, ran)
			}
		}
	}
}

func TestTrustedOrigins(t *testing.T) {
	k := guardtest.NewKeyring(t)
	h := mcpauth.Handler(k.Guard(nil), mcp.NewServer(&mcp.Implementation{Name: "s"}, nil),
		&mcpauth.Options{TrustedOrigins: []string{"https://inspector.example"}})
	for origin, want := range map[string]int{
		"https://inspector.example": 401, "http://inspector.example": 403, "https://inspector.example:444": 403,
	} {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://server.example/mcp", nil)
		r.Header.Set("Origin", origin)
		if got := guardtest.StatusOf(h, r); got != want {
			t.Errorf("Origin %s: got %d, want %d", origin, got, want)
		}
	}
	for _, bad := range []string{"*", "null", "inspector.example", "https://Inspector.example", "https://inspector.example/", ""} {
		mustPanic(t, "TrustedOrigins "+bad, func() {
			mcpauth.Handler(k.Guard(nil), mcp.NewServer(&mcp.Implementation{Name: "s"}, nil), &mcpauth.Options{TrustedOrigins: []string{bad}})
		})
	}
}

func TestHandlerPanicsWithoutItsParts(t *testing.T) {
	k := guardtest.NewKeyring(t)
	mustPanic(t, "no guard", func() { mcpauth.Handler(nil, mcp.NewServer(&mcp.Implementation{Name: "s"}, nil), nil) })
	mustPanic(t, "no server", func() { mcpauth.Handler(k.Guard(nil), nil, nil) })
}

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: got no panic, want one", what)
		}
	}()
	f()
}

// Refused clients look for an OAuth server. They must get a JSON 404 and no metadata, or they
// start a registration that cannot succeed.
func TestOAuthIsNotThere(t *testing.T) {
	k := guardtest.NewKeyring(t)
	guarded := mcpauth.Handler(k.Guard(nil), mcp.NewServer(&mcp.Implementation{Name: "s"}, nil), nil)
	for name, h := range map[string]http.Handler{"NotFound": mcpauth.NotFound(nil), "Handler": guarded} {
		for _, path := range []string{
			"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp",
			"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
			"/mcp/.well-known/openid-configuration", "/register",
		} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				want := http.StatusNotFound
				if path == "/register" && method == http.MethodPost {
					want = http.StatusBadRequest // TestRegistrationIsRefusedInItsOwnForm
				}
				if got := guardtest.Status(t, h, method, path); got != want {
					t.Errorf("%s: %s %s: got %d, want %d", name, method, path, got, want)
				}
			}
		}
	}
	resp, body := guardtest.Answer(t, mcpauth.NotFound(nil), http.MethodGet, "/.well-known/oauth-protected-resource")
	want := `{"type":"about:blank","title":"Not Found","status":404,"detail":"Path not found.","code":"no_route","request_id":"` + resp.Header.Get("X-Request-Id") + `"}` + "\n"
	if body != want || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("NotFound: got %s, want %s", body, want)
	}
	resp, _ = guardtest.Answer(t, guarded, http.MethodPost, "/mcp")
	if got := resp.Header.Get("Www-Authenticate"); !strings.HasPrefix(got, `Bearer realm="mcpkeys"`) || strings.Contains(got, "resource_metadata") {
		t.Errorf("challenge: got %q, want one without resource_metadata", got)
	}
}

// Clients that found no OAuth server may register anyway, and show their user the description
// of the error, or that they cannot read the answer.
func TestRegistrationIsRefusedInItsOwnForm(t *testing.T) {
	k := guardtest.NewKeyring(t)
	var log strings.Builder
	guarded := mcpauth.Handler(k.Guard(&middleware.Options{Logger: guardtest.Logger(&log)}), mcp.NewServer(&mcp.Implementation{Name: "s"}, nil), nil)
	for name, h := range map[string]http.Handler{"NotFound": mcpauth.NotFound(nil), "Handler": guarded} {
		resp, body := guardtest.Answer(t, h, http.MethodPost, "/register")
		var got map[string]string
		if err := json.Unmarshal([]byte(body), &got); err != nil || len(got) != 2 {
			t.Fatalf("%s: got %s, %v, want the two members of RFC 7591", name, body, err)
		}
		if resp.StatusCode != http.StatusBadRequest || got["error"] != "invalid_client_metadata" ||
			!strings.HasPrefix(got["error_description"], "This server takes API keys and has no OAuth.") {
			t.Errorf("%s: got %d %s, want 400 and what the server takes", name, resp.StatusCode, body)
		}
		if resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %v, want JSON that is not kept", name, resp.Header)
		}
	}
	if !strings.Contains(log.String(), `"path":"/register"`) {
		t.Errorf("log: got %q, want the refusal", log.String())
	}
}

// Four mebibytes, in both versions and without a declared length: a key must not use up the
// server's memory.
func TestBodyIsBounded(t *testing.T) {
	s := newSite(t, nil, "add")
	for _, version := range eras {
		r := callOf(version, "add")
		r.body = strings.Replace(r.body, `"arguments":{}`, `"arguments":{"x":"`+strings.Repeat("x", 4<<20)+`"}`, 1)
		if status, _ := s.send(version, s.Granted("tools:add"), r); status != http.StatusRequestEntityTooLarge || len(s.ran()) != 0 {
			t.Errorf("5 MiB in era %s: got %d, want 413", version, status)
		}
	}
}

// A subscription is narrowed to what was granted: the acknowledgement names no other resource,
// and updates of others are not delivered.
func TestListenIsNarrowed(t *testing.T) {
	s := furnished(t, "public", "payroll")
	r := message(modern, "subscriptions/listen", "", `{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["doc://payroll","doc://public","doc://nowhere"]}}`)
	r.token = s.Granted(publicOnly...)
	resp := s.stream(r)
	defer func() { _ = resp.Body.Close() }()
	events := bufio.NewScanner(resp.Body)

	ack := nextEvent(t, events)
	if !strings.Contains(ack, `"resourceSubscriptions":["doc://public"]`) || !strings.Contains(ack, `"toolsListChanged":true`) {
		t.Errorf("acknowledgement: got %s, want doc://public and the lists", ack)
	}
	for _, name := range []string{"payroll", "nowhere", "public"} {
		if err := s.server.ResourceUpdated(t.Context(), &mcp.ResourceUpdatedNotificationParams{URI: "doc://" + name}); err != nil {
			t.Fatal(err)
		}
	}
	if update := nextEvent(t, events); !strings.Contains(update, "doc://public") {
		t.Errorf("first update: got %s, want doc://public", update)
	}
}

func nextEvent(t *testing.T, events *bufio.Scanner) string {
	t.Helper()
	for events.Scan() {
		if data, ok := strings.CutPrefix(events.Text(), "data: "); ok {
			return data
		}
	}
	t.Fatalf("the stream ended: %v", events.Err())
	return ""
}

// The log line for a foreign page, which is not a decision of the guard.
func TestForeignOriginIsLogged(t *testing.T) {
	k := guardtest.NewKeyring(t)
	var log strings.Builder
	guard := k.Guard(&middleware.Options{Logger: guardtest.Logger(&log)})
	h := mcpauth.Handler(guard, mcp.NewServer(&mcp.Implementation{Name: "s"}, nil), nil)
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://server.example/mcp", nil)
	r.Header.Set("Origin", "https://evil.example")
	if got := guardtest.StatusOf(h, r); got != http.StatusForbidden || !strings.Contains(log.String(), "origin_not_allowed") {
		t.Errorf("foreign Origin: got %d, log %q", got, log.String())
	}
}

// A request that is refused before its key is checked also leaves no key: a logger around the
// handler, which prints headers afterwards, finds none.
func TestRefusalsLeaveNoCredential(t *testing.T) {
	k := guardtest.NewKeyring(t)
	h := mcpauth.Handler(k.Guard(nil), mcp.NewServer(&mcp.Implementation{Name: "s"}, nil), nil)
	token := k.Granted("tools:*")
	for name, path := range map[string]string{"foreign Origin": "/mcp", "discovery": "/.well-known/oauth-protected-resource/mcp", "registration": "/register"} {
		r := httptest.NewRequest(http.MethodPost, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("X-Custom", "key="+token)
		r.Header.Set("Origin", "https://evil.example")
		h.ServeHTTP(httptest.NewRecorder(), r)
		for header, values := range r.Header {
			if header == "Authorization" || keys.LooksLikeToken(strings.Join(values, " ")) {
				t.Errorf("%s: %s is still there", name, header)
			}
		}
	}
}

// The handler ignores Stateless: clients of the older versions get sessions, and what a server
// says about itself is for one key.
func TestBothErasWhateverTheOptions(t *testing.T) {
	k := guardtest.NewKeyring(t)
	server := mcp.NewServer(&mcp.Implementation{Name: "s"}, nil)
	srv := httptest.NewServer(mcpauth.Handler(k.Guard(nil), server, &mcpauth.Options{HTTP: &mcp.StreamableHTTPOptions{Stateless: true, EventStore: mcp.NewMemoryEventStore(nil)}}))
	t.Cleanup(srv.Close)
	s := &site{Keyring: k, t: t, url: srv.URL, server: server}
	token := k.Granted("tools:*")
	s.open(token) // fails without a session id
	r := message(modern, "server/discover", "", "{}")
	r.token = token
	if status, body := s.post(r); status != http.StatusOK || !strings.Contains(body, `"cacheScope":"private"`) {
		t.Errorf("server/discover: got %d %s, want 200 and a private scope", status, body)
	}
}
