package server_test

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/base/forwardauth"
	"github.com/mcpkeys/mcpkeys/internal/base/idheader"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
)

// What a proxy may send, beside the key: the client's headers and method, and after the
// settings, for a proxy that appends it, the client's path and query.
func TestForwardAuth(t *testing.T) {
	f := servertest.New(t)
	token, id := f.Issue(admin.IssueRequest{
		Name: "ci 100%", Owner: "Zoë, ops", Audience: []string{"weather", "team/weather"}, Scopes: []string{"tools:get_*", "tools:set_alarm"},
	})
	elsewhere, _ := f.Issue(admin.IssueRequest{Audience: []string{"maps"}, Scopes: []string{"*"}})
	revoked, revokedID := f.Issue(admin.IssueRequest{Audience: []string{"weather"}, Scopes: []string{"*"}})
	f.Revoke(revokedID)
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "MADEUP"}
	for _, tc := range []struct {
		name, url, token string
		status           int
		code             string
	}{
		{"query", "?audience=weather", token, 200, ""},
		{"query with a scope", "?audience=weather&scope=tools:get_forecast", token, 200, ""},
		{"path", "/a/weather/-/", token, 200, ""},
		{"path without the last slash", "/a/weather/-", token, 200, ""},
		{"an audience with a slash", "/a/team%2Fweather/-/", token, 200, ""},
		{"path with a scope", "/a/weather/s/tools:get_forecast/-/", token, 200, ""},
		{"the client's path and query", "/a/weather/-/mcp/../../x?audience=maps&scope=nothing&deny=no&key=a;b", token, 200, ""},
		{"an audience with a slash, and characters that need an encoding", "/a/team%2Fweather/-/{x}|^", token, 200, ""},
		{"an audience that is not the key's, with the mark in it", "/a/weather%2F-%2Fx/-/{x}", token, 401, "invalid_token"},
		{"the client's settings", "/a/weather/s/tools:set_x/-/a/weather/-/", token, 403, "insufficient_scope"},
		{"the client's audience", "/a/maps/-/?audience=weather", token, 401, "invalid_token"},
		{"no key", "?audience=weather", "", 401, "no_credential"},
		{"junk", "?audience=weather", "junk", 401, "invalid_token"},
		{"another audience", "?audience=weather", elsewhere, 401, "invalid_token"},
		{"admin key", "?audience=weather", f.Admin(), 401, "invalid_token"},
		{"revoked", "?audience=weather", revoked, 401, "invalid_token"},
		{"scope that is not granted", "/a/weather/s/tools:set_x/d/403/-/", token, 403, "insufficient_scope"},
	} {
		for _, method := range methods {
			a := ask(t, f, method, tc.url, tc.token)
			if got := a.Header.Get("X-Mcpkeys-Code"); a.StatusCode != tc.status || got != tc.code {
				t.Errorf("%s, %s: got %d %q, want %d %q", tc.name, method, a.StatusCode, got, tc.status, tc.code)
			}
			if challenged := a.Header.Get("WWW-Authenticate") != ""; challenged != (tc.status == 401 || tc.status == 403) {
				t.Errorf("%s, %s: WWW-Authenticate %t", tc.name, method, challenged)
			}
			if tc.status == 200 {
				audience := "weather"
				if strings.Contains(tc.url, "team") {
					audience = "team/weather"
				}
				identifies(t, a, id, audience)
				continue
			}
			for _, name := range idheader.Names() {
				if len(a.Header[name]) > 0 {
					t.Errorf("%s, %s: a denial has %s", tc.name, method, name)
				}
			}
		}
	}
	if strings.Contains(f.Log(), "audience=maps") {
		t.Error("the log has a query")
	}
}

// ask sends what a proxy sends of a browser's request: the Host and Origin are not the server's,
// and the identity headers are forged.
func ask(t *testing.T, f *servertest.Fixture, method, rest, token string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(method, f.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Opaque = forwardauth.Prefix + rest // as it is, also where Go would encode it
	r.Host = "mcp.example.com"
	r.Header.Set("Origin", "https://evil.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("X-Forwarded-Uri", forwardauth.Prefix+"?audience=maps")
	r.Header.Set("X-Original-URL", forwardauth.Prefix+"?audience=maps")
	for _, name := range idheader.Names() {
		r.Header.Set(name, "forged")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	a, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, a.Body)
	_ = a.Body.Close()
	return a
}

func identifies(t *testing.T, a *http.Response, id, audience string) {
	t.Helper()
	for name, want := range map[string]string{
		"X-Mcpkeys-Key-Id": id, "X-Mcpkeys-Key-Name": "ci 100%", "X-Mcpkeys-Owner": "Zoë, ops",
		"X-Mcpkeys-Scopes": "tools:get_* tools:set_alarm", "X-Mcpkeys-Audience": audience,
	} {
		got := a.Header[name]
		if len(got) != 1 {
			t.Errorf("%s: got %q, want one", name, got)
			continue
		}
		text, err := url.PathUnescape(got[0])
		if err != nil || text != want || strings.IndexFunc(got[0], func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
			t.Errorf("%s: got %q, want %q percent-encoded", name, got[0], want)
		}
	}
}

// A URL that the operator wrote wrongly lets nothing pass, and its answer repeats none of it.
func TestForwardAuthRefusesWrongURLs(t *testing.T) {
	f := servertest.New(t)
	token, _ := f.Issue(admin.IssueRequest{Scopes: []string{"*"}})
	for _, rest := range []string{
		"", "?", "/", "//", "/-/", "/-", "/a", "/a/", "/a//-/", "/a/weather", "/a/weather/", "/a/weather/x/-/", "/a/weather/s/-/", "/a/weather/s//-/",
		"/a/weather/a/maps/-/", "/a/./-/", "/a/../-/", "/a/%2e%2e/-/", "/a/x/../y/-/", "/a/weather/s/tools:*/-/", "/a/weather/d/200/-/", "/a/weather/d/403",
		"/a/weather/d/-/", "/a/two%20words/-/", "/a/one%2Ctwo/-/", "/a/%00/-/", "/a/" + strings.Repeat("x", 5000) + "/-/", "/A/weather/-/", "/s/tools:x/-/",
		"?audience=", "?audience=a&audience=b", "?audience=weather&scope=", "?audience=weather&scope=tools:*", "?audience=weather&deny=401", "?audience=weather&deny=",
		"?audience=weather&unknown=1", "?Audience=weather", "?audience=weather;scope=x", "?audience=%zz", "?scope=tools:x", "?audience=weather&token=x",
	} {
		for _, method := range []string{"GET", "POST", "HEAD"} {
			a := ask(t, f, method, rest, token)
			if a.StatusCode != http.StatusUnprocessableEntity {
				t.Errorf("%s %.60s: got %d, want 422", method, rest, a.StatusCode)
			}
		}
	}
	for rest, want := range map[string]string{
		"": "audience", "?scope=tools:x": "audience", "?audience=a,b": "audience", "?audience=weather&scope=tools:*": "scope", "?audience=weather&deny=401": "deny",
		"?audience=weather&unknown=1": "query", "?audience=%zz": "query", "?audience=a&audience=b": "audience", "?scope=*&deny=": "audience scope deny",
		"/a/weather": "path", "/a/weather/x/1/-/": "path", "/a/weather/a/maps/-/": "path", "/a/../-/": "path", "/a/two%20words/s/*/d/1/-/": "audience scope deny",
	} {
		a := f.Send("GET", forwardauth.Prefix+rest, token, "")
		var fields []string
		for _, e := range a.Problem(t).Errors {
			if e.Message == "" {
				t.Errorf("%s: %s has no message", rest, e.Field)
			}
			fields = append(fields, e.Field)
		}
		if got := strings.Join(fields, " "); got != want {
			t.Errorf("%s: got errors about %q, want %q", rest, got, want)
		}
	}
	for _, path := range []string{"/v1/forward-authx", "/v1/forward-aut", "/v1/%66orward-auth?audience=a", "/v1//forward-auth", "/V1/forward-auth"} {
		r := f.Request("GET", path, token, "")
		if a := f.Do(r); a.Status != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, a.Status)
		}
	}
}

// nginx knows 401 and 403 only: with deny=403 the other denials are 403 too, and their code and
// the wait are in headers. An outage is never a denial.
func TestForwardAuthDeny403(t *testing.T) {
	f := servertest.New(t)
	token, _ := f.Issue(admin.IssueRequest{Audience: []string{"weather"}, RateLimit: keys.RateLimit{Count: 1, Window: time.Hour, Burst: 1}})
	if a := ask(t, f, "GET", "?audience=weather&deny=403", token); a.StatusCode != http.StatusOK {
		t.Fatalf("first call: got %d", a.StatusCode)
	}
	limited := ask(t, f, "GET", "?audience=weather&deny=403", token)
	if limited.StatusCode != http.StatusForbidden || limited.Header.Get("X-Mcpkeys-Code") != "rate_limited" || limited.Header.Get("Retry-After") == "" {
		t.Errorf("limited: got %d %v", limited.StatusCode, limited.Header)
	}
	if a := ask(t, f, "GET", "?audience=weather", token); a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" {
		t.Errorf("limited, without deny: got %d %v", a.StatusCode, a.Header)
	}
	r, _ := http.NewRequest(http.MethodGet, f.URL+forwardauth.Prefix+"?audience=weather&deny=403", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("X-Api-Key", token)
	a, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = a.Body.Close()
	if a.StatusCode != http.StatusForbidden || a.Header.Get("X-Mcpkeys-Code") != "two_credentials" {
		t.Errorf("two keys: got %d %v", a.StatusCode, a.Header)
	}
	if err := f.Store.Close(); err != nil {
		t.Fatal(err)
	}
	if a := ask(t, f, "GET", "?audience=weather&deny=403", token); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("X-Mcpkeys-Code") != "unavailable" {
		t.Errorf("without the store: got %d %v, want 503", a.StatusCode, a.Header)
	}
}

// Attack: a client of a proxy claims another address, for a key that is limited to addresses. Only
// proxies that the server was told of are believed.
func TestForwardAuthBelievesNamedProxiesOnly(t *testing.T) {
	f := servertest.New(t)
	prefix, err := keys.ParseAllowedIP("10.0.0.7")
	if err != nil {
		t.Fatal(err)
	}
	token, _ := f.Issue(admin.IssueRequest{Audience: []string{"weather"}, AllowedIPs: []netip.Prefix{prefix}})
	r, _ := http.NewRequest(http.MethodGet, f.URL+forwardauth.Prefix+"?audience=weather", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("X-Forwarded-For", "10.0.0.7")
	a, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = a.Body.Close()
	if a.StatusCode != http.StatusForbidden || a.Header.Get("X-Mcpkeys-Code") != "forbidden" {
		t.Errorf("a claimed address: got %d %v, want 403", a.StatusCode, a.Header)
	}
}

// The rest of a request that a proxy appends may be as long as net/http allows, and hold what no
// parser takes.
func TestForwardAuthReadsNothingAfterTheMark(t *testing.T) {
	f := servertest.New(t)
	token, _ := f.Issue(admin.IssueRequest{Audience: []string{"weather"}})
	for _, rest := range []string{"/%zz", "/\x7f", "/" + strings.Repeat("a", 12<<10), "?;;&&=%", "/%00?%00"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(f.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET "+forwardauth.Prefix+"/a/weather/-"+rest+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "+token+"\r\n\r\n")
		answer, _ := io.ReadAll(conn)
		_ = conn.Close()
		if status := string(answer[:min(len(answer), 12)]); status != "HTTP/1.1 200" && status != "HTTP/1.1 400" {
			t.Errorf("%.20q: got %q", rest, status)
		}
	}
}
