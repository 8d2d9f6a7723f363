package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

func TestNewPanicsOnWhatCannotGuard(t *testing.T) {
	k := guardtest.NewKeyring(t)
	mustPanic(t, "no verifier", func() { middleware.New(nil, nil) })
	for what, o := range map[string]middleware.Options{
		"audience with a space": {Audience: "the server"},
		"audience with a key":   {Audience: k.Granted()},
		"realm with a quote":    {Realm: `a"b`},
		"realm with a line":     {Realm: "a\r\nSet-Cookie: b"},
		"header with a colon":   {Headers: []string{"X-Key:"}},
		"empty header":          {Headers: []string{""}},
		"cookie":                {Headers: []string{"cookie"}},
		"session id":            {Headers: []string{"mcp-session-id"}},
		"request id":            {Headers: []string{"X-Request-ID"}},
	} {
		mustPanic(t, what, func() { middleware.New(k.Verifier(), &o) })
	}
	guard := middleware.New(k.Verifier(), nil)
	for _, scope := range []string{"", "tools:*", "a b", "tools:"} {
		mustPanic(t, "Require "+scope, func() { guard.Require(scope) })
	}
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

// Additional headers carry a key like the others, and count like the others.
func TestFurtherHeaders(t *testing.T) {
	k := guardtest.NewKeyring(t)
	h := k.Guard(&middleware.Options{Headers: []string{"x-auth-token", "X-Auth-Token"}, Realm: "inner"}).Require()(ok)
	token := k.Granted()
	for name, c := range map[string]struct {
		headers http.Header
		want    int
	}{
		"the header":       {http.Header{"X-Auth-Token": {token}}, 200},
		"twice":            {http.Header{"X-Auth-Token": {token, token}}, 400},
		"beside x-api-key": {http.Header{"X-Auth-Token": {token}, "X-Api-Key": {token}}, 400},
		"empty":            {http.Header{"X-Auth-Token": {""}}, 401},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header = c.headers
		if got := guardtest.StatusOf(h, r); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
		if len(r.Header) != 0 {
			t.Errorf("%s: headers left: %v", name, r.Header)
		}
	}
	resp, _ := guardtest.Answer(t, h, http.MethodGet, "/")
	if got := resp.Header.Get("Www-Authenticate"); !strings.HasPrefix(got, `Bearer realm="inner"`) {
		t.Errorf("challenge: got %s, want the realm inner", got)
	}
}

var ok = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// After the guard, and after a refusal, the request's headers have no key, and the other
// headers are unchanged.
func TestCredentialsAreGoneEverywhere(t *testing.T) {
	k := guardtest.NewKeyring(t)
	token := k.Granted()
	for _, key := range []string{token, token + "x"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header = http.Header{
			"X-Api-Key": {key}, "Proxy-Authorization": {"Basic eDp5"}, "Referer": {"https://x.example/?key=" + token},
			"X-Trace": {"a", "b " + strings.ToUpper(token)}, "Accept": {"text/html"}, "X_under_score": {"mcp_mcpk_no"},
		}
		k.Guard(nil).Require()(ok).ServeHTTP(httptest.NewRecorder(), r)
		if len(r.Header) != 2 || r.Header.Get("Accept") == "" || r.Header["X_under_score"] == nil {
			t.Errorf("headers left: got %v, want Accept and X_under_score alone", r.Header)
		}
	}
}

// A request id is only kept if it can be shown and logged; otherwise there is a new one, the
// same in answer and body.
func TestRequestID(t *testing.T) {
	k := guardtest.NewKeyring(t)
	h := k.Guard(nil).Require()(ok)
	for name, c := range map[string]struct {
		given []string
		taken bool
	}{
		"plain":     {[]string{"req-1"}, true},
		"none":      {nil, false},
		"empty":     {[]string{""}, false},
		"two":       {[]string{"a", "b"}, false},
		"a key":     {[]string{k.Granted()}, false},
		"control":   {[]string{"a\x7fb"}, false},
		"invisible": {[]string{"a\u202eb"}, false},
		"long":      {[]string{strings.Repeat("a-", 33)}, false},
		"key cut":   {[]string{k.Granted()[len("mcpk_"):]}, false},
		"secret":    {[]string{k.Granted()[len("mcpk_")+keys.IDLen+1:]}, false},
		"UUID":      {[]string{"0198a1b2-c3d4-7ef6-8718-293a4b5c6d7e"}, true},
		"trace id":  {[]string{"4bf92f3577b34da6a3ce929d0e0e4736"}, true},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["X-Request-Id"] = c.given
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		got := w.Header().Get("X-Request-Id")
		if c.taken != (len(c.given) == 1 && got == c.given[0]) || got == "" || !strings.Contains(w.Body.String(), `"request_id":"`+got+`"`) {
			t.Errorf("%s: got id %q and body %s", name, got, w.Body)
		}
	}
}

func TestHeadHasNoBody(t *testing.T) {
	resp, body := guardtest.Answer(t, guardtest.NewKeyring(t).Guard(nil).Require()(ok), http.MethodHead, "/")
	if resp.StatusCode != http.StatusUnauthorized || body != "" || resp.Header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: got %d %q, want 401 without a body", resp.StatusCode, body)
	}
}

// People paste keys into paths and queries, and a method is any word: none of them may get into
// the log.
func TestLogShowsNoKey(t *testing.T) {
	k := guardtest.NewKeyring(t)
	token := k.Granted()
	var log strings.Builder
	h := k.Guard(&middleware.Options{Logger: guardtest.Logger(&log)}).Require()(ok)
	for _, c := range []struct{ method, target string }{
		{http.MethodGet, "/keys/" + token}, {http.MethodGet, "/x?api_key=" + token}, {token, "/"}, {http.MethodGet, "/" + strings.ToLower(token[:30])},
	} {
		if got := guardtest.Status(t, h, c.method, c.target); got != http.StatusUnauthorized {
			t.Errorf("%.8s %.8s: got %d, want 401", c.method, c.target, got)
		}
	}
	if got := log.String(); keys.HoldsToken(got) || strings.Count(got, "\n") != 4 {
		t.Errorf("log: got %s, want 4 lines without a key", got)
	}
}

// An admin guard takes admin keys and no others.
func TestAdminGuard(t *testing.T) {
	k := guardtest.NewKeyring(t)
	h := k.Guard(&middleware.Options{Admin: true}).Require(keys.ScopeKeysRead)(ok)
	admin, _ := k.Issue(admin.IssueRequest{Kind: keys.KindAdmin})
	for token, want := range map[string]int{admin: 200, k.Granted("*"): 401} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("X-API-Key", token)
		if got := guardtest.StatusOf(h, r); got != want {
			t.Errorf("%.5s: got %d, want %d", token, got, want)
		}
	}
}

// A guard for a whole server and one more with a scope on a route: the key is verified and
// counted once, the inner guard checks its scopes. Another guard requires its own key.
func TestGuardWithinGuard(t *testing.T) {
	k := guardtest.NewKeyring(t)
	guard := k.Guard(nil)
	once := keys.RateLimit{Count: 1, Window: 24 * time.Hour, Burst: 1}
	for name, c := range map[string]struct {
		inner *middleware.Guard
		need  string
		want  int
	}{
		"granted":       {guard, "reports:read", 200},
		"not granted":   {guard, "reports:write", 403},
		"another guard": {k.Guard(&middleware.Options{Audience: "billing"}), "reports:read", 401},
	} {
		token, _ := k.Issue(admin.IssueRequest{Scopes: []string{"reports:read"}, RateLimit: once})
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("X-API-Key", token)
		reads := k.Reads()
		got := guardtest.StatusOf(guard.Require()(c.inner.Require(c.need)(ok)), r)
		if got != c.want || k.Reads() != reads+1 {
			t.Errorf("%s: got %d after %d look-ups, want %d after one", name, got, k.Reads()-reads, c.want)
		}
	}
}

// The adapters accept a request that the same guard already admitted: the call is counted once.
func TestGuardAroundAdapters(t *testing.T) {
	k := guardtest.NewKeyring(t)
	guard := k.Guard(nil)
	for name, h := range adapters(guard) {
		token, _ := k.Issue(admin.IssueRequest{RateLimit: keys.RateLimit{Count: 1, Window: 24 * time.Hour, Burst: 1}})
		if got := guardtest.StatusOf(guard.Require()(h), post("X-API-Key", token)); got != http.StatusOK {
			t.Errorf("%s within the guard: got %d, want 200", name, got)
		}
	}
}

// Attack: a caller with a weak key makes a server send another request within an admitted one,
// with its context, as in-process proxies do, to be taken for the first caller. A request with
// a credential is judged by that alone, whatever its context says, and the credential is
// removed as usual.
func TestSubRequestWithAnotherKeyIsAnotherCaller(t *testing.T) {
	k := guardtest.NewKeyring(t)
	guard := k.Guard(&middleware.Options{Headers: []string{"X-Auth-Token"}})
	first, firstID := k.Issue(admin.IssueRequest{Scopes: []string{"reports:read"}})
	second, secondID := k.Issue(admin.IssueRequest{Scopes: []string{"reports:write"}, RateLimit: keys.RateLimit{Count: 2, Window: 24 * time.Hour, Burst: 2}})
	admitted := admit(t, guard, first)
	for _, c := range []struct {
		name    string
		headers http.Header
		need    string
		want    int
		caller  string
	}{
		{"no credential, what the first may", http.Header{"Accept": {"text/html"}}, "reports:read", 200, firstID},
		{"no credential, what the first may not", http.Header{}, "reports:write", 403, ""},
		{"a key where none is read", http.Header{"X-Trace": {second}, "Proxy-Authorization": {"Basic eDp5"}}, "reports:read", 200, firstID},
		{"another key, what the first may", http.Header{"Authorization": {"Bearer " + second}}, "reports:read", 403, ""},
		{"another key, what it may itself", http.Header{"X-Auth-Token": {second}}, "reports:write", 200, secondID},
		{"another key, its limit spent", http.Header{"X-Api-Key": {second}}, "reports:write", 429, ""},
		{"an unknown key", http.Header{"X-Api-Key": {second + "x"}}, "reports:read", 401, ""},
		{"two keys", http.Header{"X-Api-Key": {first, second}}, "reports:read", 400, ""},
		{"a credential of another kind", http.Header{"Authorization": {"Basic eDp5"}}, "reports:read", 401, ""},
	} {
		var caller string
		h := guard.Require(c.need)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			id, _ := keys.IdentityFrom(r.Context())
			caller = id.KeyID()
		}))
		r := httptest.NewRequestWithContext(admitted, http.MethodGet, "/", nil)
		r.Header = c.headers
		if got := guardtest.StatusOf(h, r); got != c.want || caller != c.caller {
			t.Errorf("%s: got %d as %q, want %d as %q", c.name, got, caller, c.want, c.caller)
		}
		if delete(r.Header, "Accept"); len(r.Header) != 0 {
			t.Errorf("%s: headers left: %v", c.name, r.Header)
		}
	}
}
