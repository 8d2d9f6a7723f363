package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
)

// route is one operation and a request to it that succeeds.
type route struct {
	method, path string // {id} stands for the id of a new key
	scope        string // empty: any active key
	body         string // a valid one; empty if none is read
	field        string // a member of the body that is a string
	optional     bool   // the body may be left out
	status       int
}

var routes = []route{
	{method: "GET", path: "/v1/keys", scope: keys.ScopeKeysRead, field: "name", status: 200},
	{method: "POST", path: "/v1/keys", scope: keys.ScopeKeysWrite, body: `{"name":"%s"}`, field: "name", status: 201},
	{method: "GET", path: "/v1/keys/{id}", scope: keys.ScopeKeysRead, field: "name", status: 200},
	{method: "GET", path: "/v1/keys/{id}/usage", scope: keys.ScopeKeysRead, field: "name", status: 200},
	{method: "POST", path: "/v1/keys/{id}/revoke", scope: keys.ScopeKeysWrite, body: `{"reason":"lost"}`, field: "reason", optional: true, status: 200},
	{method: "PATCH", path: "/v1/keys/{id}", scope: keys.ScopeKeysWrite, body: `{"name":"%s"}`, field: "name", status: 200},
	{method: "POST", path: "/v1/keys/{id}/rotate", scope: keys.ScopeKeysWrite, body: `{"grace":"0"}`, field: "grace", optional: true, status: 200},
	{method: "POST", path: "/v1/keys/{id}/disable", scope: keys.ScopeKeysWrite, body: `{"reason":"odd"}`, field: "reason", optional: true, status: 200},
	{method: "POST", path: "/v1/keys/{id}/enable", scope: keys.ScopeKeysWrite, body: `{}`, field: "name", optional: true, status: 200},
	{method: "GET", path: "/v1/audit", scope: keys.ScopeAuditRead, field: "name", status: 200},
	{method: "GET", path: "/v1/denials", scope: keys.ScopeAuditRead, field: "name", status: 200},
	{method: "GET", path: "/v1/whoami", field: "name", status: 200},
	{method: "POST", path: "/v1/verify", scope: keys.ScopeVerify, body: `{"key":"mcpk_"}`, field: "key", status: 200},
	{method: "POST", path: "/v1/verify/batch", scope: keys.ScopeVerify, body: `{"checks":[{"key":"mcpk_"}]}`, field: "checks", status: 200},
	{method: "GET", path: "/v1/verifiers", scope: keys.ScopeAuditRead, field: "name", status: 200},
	{method: "POST", path: protocol.PathLease, scope: keys.ScopeVerify, body: `{"instance":"000102030405060708090a0b0c0d0e0f","audience":"weather","applied":"0"}`, field: "audience", status: 200},
	{method: "POST", path: protocol.PathProve, scope: keys.ScopeVerify, body: `{"instance":"000102030405060708090a0b0c0d0e0f","audience":"weather","token":"mcpk_"}`, field: "audience", status: 200},
	{method: "POST", path: protocol.PathKey, scope: keys.ScopeVerify, body: `{"instance":"000102030405060708090a0b0c0d0e0f","audience":"weather","key_id":"nobodyhasit1","pass":"000102030405060708090a0b0c0d0e0f"}`, field: "audience", status: 200},
	{method: "POST", path: protocol.PathCounts, scope: keys.ScopeVerify, body: `{"instance":"000102030405060708090a0b0c0d0e0f","audience":"weather","n":1}`, field: "audience", status: 200},
}

// caller is a caller, and the answer it gets before the request is read.
type caller struct {
	name   string
	token  func(*servertest.Fixture, route) string
	status int // 0: let in
	code   string
}

var callers = []caller{
	{"no key", func(*servertest.Fixture, route) string { return "" }, 401, "no_credential"},
	{"ordinary key", func(f *servertest.Fixture, _ route) string {
		token, _ := f.Issue(admin.IssueRequest{Scopes: []string{"*"}})
		return token
	}, 401, "invalid_token"},
	{"admin key without the scope", func(f *servertest.Fixture, r route) string {
		return f.Admin(slices.DeleteFunc(keys.AdminScopes(), func(s string) bool { return s == r.scope })...)
	}, 403, "insufficient_scope"},
	{"revoked admin key", func(f *servertest.Fixture, _ route) string {
		token, id := f.Issue(admin.IssueRequest{Kind: keys.KindAdmin})
		f.Revoke(id)
		return token
	}, 401, "invalid_token"},
	{"admin key", func(f *servertest.Fixture, r route) string {
		switch {
		case r.scope == "":
			return f.Admin()
		case strings.HasPrefix(r.path, protocol.PathLease):
			return f.VerifyKey("weather")
		}
		return f.Admin(r.scope)
	}, 0, ""},
}

// input is a fault of a request, and the answer of a caller that was let in.
type input struct {
	name   string
	alter  func(*http.Request, route)
	status int // for a route that reads a body
	code   string
	query  bool // applies to every route
}

func body(text func(route) string) func(*http.Request, route) {
	return func(r *http.Request, to route) {
		content := strings.NewReader(text(to))
		r.Body, r.ContentLength = nopCloser{content}, int64(content.Len())
		r.Header.Set("Content-Type", "application/json")
	}
}

type nopCloser struct{ *strings.Reader }

func (nopCloser) Close() error { return nil }

// spoilt is in every invalid input, and must not be in the answer.
const spoilt = "SpoiltValue"

var inputs = []input{
	{"good", func(*http.Request, route) {}, 0, "", false},
	{"empty body", body(func(route) string { return "" }), 422, "invalid_argument", false},
	{"wrong type", body(func(r route) string { return `{"` + r.field + `":["` + spoilt + `"]}` }), 422, "invalid_argument", false},
	{"an array", body(func(route) string { return `["` + spoilt + `"]` }), 422, "invalid_argument", false},
	{"null", body(func(route) string { return `null` }), 422, "invalid_argument", false},
	{"unknown member", body(func(r route) string { return good(r, `,"`+spoilt+`":"`+spoilt+`"}`) }), 422, "invalid_argument", false},
	{"member in another case", body(func(r route) string { return `{"` + strings.ToUpper(r.field) + `":"` + spoilt + `"}` }), 422, "invalid_argument", false},
	{"duplicate member", body(func(r route) string { return good(r, `,"`+r.field+`":"`+spoilt+`"}`) }), 422, "invalid_argument", false},
	{"duplicate member, escaped", body(func(r route) string {
		return good(r, `,"\u00`+fmt.Sprintf("%x", r.field[0])+r.field[1:]+`":"`+spoilt+`"}`)
	}), 422, "invalid_argument", false},
	{"broken JSON", body(func(r route) string { return `{"` + r.field + `":"` + spoilt }), 422, "invalid_argument", false},
	{"two objects", body(func(r route) string { return good(r, "} {}") }), 422, "invalid_argument", false},
	{"1 MB", body(func(r route) string {
		return `{"` + r.field + `":"` + spoilt + strings.Repeat("x", 1<<20) + `"}`
	}), 413, "too_large", false},
	{"NUL", body(func(r route) string { return `{"` + r.field + `":"` + spoilt + "\x00" + `"}` }), 422, "invalid_argument", false},
	{"NUL, escaped", body(func(r route) string { return `{"` + r.field + `":"` + spoilt + `\u0000"}` }), 422, "invalid_argument", false},
	{"no UTF-8", body(func(r route) string { return `{"` + r.field + `":"` + spoilt + "\xff" + `"}` }), 422, "invalid_argument", false},
	{"half a surrogate pair", body(func(r route) string { return `{"` + r.field + `":"` + spoilt + `\ud800"}` }), 422, "invalid_argument", false},
	{"wrong content type", func(r *http.Request, to route) {
		body(func(route) string { return "a=" + spoilt })(r, to)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}, 415, "unsupported_media_type", false},
	{"text/plain", func(r *http.Request, _ route) { r.Header.Set("Content-Type", "text/plain") }, 415, "unsupported_media_type", false},
	{"no content type", func(r *http.Request, _ route) { r.Header.Del("Content-Type") }, 415, "unsupported_media_type", false},
	{"two content types", func(r *http.Request, _ route) { r.Header.Add("Content-Type", "text/"+spoilt) }, 415, "unsupported_media_type", false},
	{"bad cursor", func(r *http.Request, _ route) { r.URL.RawQuery = "cursor=" + spoilt }, 422, "invalid_argument", true},
	{"unknown parameter", func(r *http.Request, _ route) { r.URL.RawQuery = "api_key=" + spoilt }, 422, "invalid_argument", true},
	{"parameter twice", func(r *http.Request, _ route) { r.URL.RawQuery = "limit=5&limit=6&q=" + spoilt }, 422, "invalid_argument", true},
	{"query with a semicolon", func(r *http.Request, _ route) { r.URL.RawQuery = "limit=5;q=" + spoilt }, 422, "invalid_argument", true},
	{"query that cannot be decoded", func(r *http.Request, _ route) { r.URL.RawQuery = "q=%zz" + spoilt }, 422, "invalid_argument", true},
	{"limit that is not a number", func(r *http.Request, _ route) { r.URL.RawQuery = "limit=" + spoilt }, 422, "invalid_argument", true},
	{"limit out of bounds", func(r *http.Request, _ route) { r.URL.RawQuery = "limit=5001" }, 422, "invalid_argument", true},
	{"NUL in the query", func(r *http.Request, _ route) { r.URL.RawQuery = "q=%00" + spoilt }, 422, "invalid_argument", true},
}

// good is the route's valid body, with its last brace replaced.
func good(r route, end string) string {
	start := strings.TrimSuffix(fill(r.body, "twice"), "}")
	if start == "{" {
		end = strings.TrimPrefix(end, ",")
	}
	return start + end
}

func fill(text, name string) string { return strings.ReplaceAll(text, "%s", name) }

// want is the answer to input i for a caller that was let in.
func (i input) want(r route) (status int, code string) {
	switch {
	case i.status == 0, !i.query && r.body == "", r.optional && i.name == "empty body":
		return r.status, ""
	}
	return i.status, i.code
}

// Every route, caller and input: the right status and code, in one form, without an echo, and a
// refused request changes nothing.
func TestScenarios(t *testing.T) {
	for _, r := range routes {
		f := servertest.New(t)
		_, id := f.Issue(admin.IssueRequest{})
		path := strings.ReplaceAll(r.path, "{id}", id)
		for _, c := range callers {
			token := c.token(f, r)
			for n, i := range inputs {
				name := fmt.Sprintf("%s %s/%s/%s", r.method, r.path, c.name, i.name)
				t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
					req := f.Request(r.method, path, token, fill(r.body, fmt.Sprintf("new-%d", n)))
					i.alter(req, r)
					status, code := wanted(c, r, i)
					refusedOrNot(t, f, req, status, code)
				})
			}
		}
		if strings.Contains(f.Log(), spoilt) {
			t.Errorf("%s %s: the log holds a part of a request", r.method, r.path)
		}
	}
}

func refusedOrNot(t *testing.T, f *servertest.Fixture, r *http.Request, status int, code string) {
	t.Helper()
	before := f.State()
	a := f.Do(r)
	if a.Status != status {
		t.Fatalf("got %d %s, want %d", a.Status, a.Body, status)
	}
	if strings.Contains(a.Body, spoilt) || strings.Contains(fmt.Sprint(a.Header), spoilt) {
		t.Errorf("got %v %s, want no part of the request in it", a.Header, a.Body)
	}
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("got Cache-Control %q, want no-store", got)
	}
	if code == "" {
		return
	}
	if got := a.Problem(t).Code; got != code {
		t.Errorf("got code %q, want %q", got, code)
	}
	if after := f.State(); after != before {
		t.Errorf("a refused request changed %+v to %+v", before, after)
	}
}

func wanted(c caller, r route, i input) (status int, code string) {
	inAnyway := r.scope == "" && (c.name == "ordinary key" || c.status == 403)
	if c.status != 0 && !inAnyway {
		return c.status, c.code
	}
	return i.want(r)
}

// A route that is added later must not be open because its guard was left out.
func TestEveryRouteNeedsAKey(t *testing.T) {
	f := servertest.New(t)
	walked := map[string]bool{}
	for _, r := range f.API.Routes() {
		method, path := r[0], r[1]
		walked[path] = true
		a := f.Send(method, strings.ReplaceAll(path, ":id", "abcdefghijkl"), "", "")
		if slices.Contains(restapi.Public(), path) {
			if a.Status != http.StatusOK {
				t.Errorf("%s %s is public: got %d, want 200", method, path, a.Status)
			}
			continue
		}
		if a.Status != http.StatusUnauthorized || a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s without a key: got %d %v, want 401 and a challenge", method, path, a.Status, a.Header)
		}
	}
	for _, path := range restapi.Public() {
		if !walked[path] {
			t.Errorf("%s is on the public list and nowhere else", path)
		}
	}
	inTable := map[string]bool{}
	for _, r := range routes {
		path := strings.ReplaceAll(r.path, "{id}", ":id")
		if inTable[path] = true; !walked[path] {
			t.Errorf("%s is in the scenario table and nowhere else", path)
		}
	}
	for path := range walked {
		if path == protocol.PathChanges || path == "/v1/introspect" {
			continue // a good request to the first has no end, the second reads a form: verifyroutes tests both
		}
		if !inTable[path] && !slices.Contains(restapi.Public(), path) {
			t.Errorf("%s is not in the scenario table", path)
		}
	}
}

// Unknown paths and methods are refused in the same form.
func TestUnknownAddressAndMethod(t *testing.T) {
	f := servertest.New(t)
	token := f.Admin()
	for _, tc := range []struct {
		method, path, code string
		status             int
	}{
		{"GET", "/", "no_route", 404},
		{"GET", "/v1/keys/", "no_route", 404},
		{"GET", "/v1/keys/nobodyhasit1", "not_found", 404},
		{"GET", "/v1/keys/nobodyhasit1/usage", "not_found", 404},
		{"GET", "/v1/keys/" + strings.Repeat("x", 2000), "not_found", 404},
		{"POST", "/v1/keys/nobodyhasit1/revoke", "not_found", 404},
		{"POST", "/v1/keys/nobodyhasit1/rotate", "not_found", 404},
		{"POST", "/v1/keys/nobodyhasit1/disable", "not_found", 404},
		{"POST", "/v1/keys/nobodyhasit1/enable", "not_found", 404},
		{"GET", "/v1/keys/nobodyhasit1/enable", "method_not_allowed", 405},
		{"GET", "/V1/keys", "no_route", 404},
		{"PUT", "/v1/keys", "method_not_allowed", 405},
		{"DELETE", "/v1/keys/nobodyhasit1", "method_not_allowed", 405},
		{"OPTIONS", "/v1/keys", "method_not_allowed", 405},
		{"BREW", "/v1/keys", "method_not_allowed", 405},
	} {
		a := f.Send(tc.method, tc.path, token, "")
		if a.Status != tc.status {
			t.Errorf("%s %.40s: got %d, want %d", tc.method, tc.path, a.Status, tc.status)
			continue
		}
		if got := a.Problem(t).Code; got != tc.code {
			t.Errorf("%s %.40s: got code %q, want %q", tc.method, tc.path, got, tc.code)
		}
	}
}

// HEAD is GET without the body: the same status and headers, also for refusals.
func TestHeadIsGetWithoutItsBody(t *testing.T) {
	f := servertest.New(t)
	_, id := f.Issue(admin.IssueRequest{})
	admin := f.Admin()
	for _, token := range []string{"", admin, f.Admin("verify")} {
		for _, path := range []string{
			"/v1/keys", "/v1/keys/" + id, "/v1/keys/nobodyhasit1", "/v1/keys?limit=0", "/v1/whoami", "/healthz", "/readyz",
			"/openapi.json", "/openapi.yaml", "/nowhere",
		} {
			get, head := f.Send("GET", path, token, ""), f.Send("HEAD", path, token, "")
			if head.Status != get.Status || head.Body != "" || head.Header.Get("X-Request-Id") == "" {
				t.Errorf("HEAD %s: got %d %v %q, want %d and no body", path, head.Status, head.Header, head.Body, get.Status)
			}
			for _, name := range []string{"Content-Type", "WWW-Authenticate", "Cache-Control"} {
				if got, want := head.Header.Get(name), get.Header.Get(name); got != want {
					t.Errorf("HEAD %s: got %s %q, want %q", path, name, got, want)
				}
			}
		}
	}
	for _, path := range []string{"/v1/verify", "/v1/keys/" + id + "/revoke"} {
		a := f.Send("HEAD", path, admin, "")
		if a.Status != 405 || a.Header.Get("Content-Type") != "application/problem+json" || a.Header.Get("Allow") != "POST" {
			t.Errorf("HEAD %s: got %d %v, want 405 as a problem", path, a.Status, a.Header)
		}
	}
	if s := f.State(); s.Live != s.Keys {
		t.Errorf("after HEAD: got %+v, want no key revoked", s)
	}
}
