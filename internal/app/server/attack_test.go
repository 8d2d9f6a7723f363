package server_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
)

// A1. The attack: the caller may not make such a key, and claims in the body what it wants:
// owner, scopes, kind, who made it.
func TestA1BodyGrantsNothing(t *testing.T) {
	f := servertest.New(t)
	ordinary, _ := f.Issue(admin.IssueRequest{Scopes: []string{"*", "keys:write"}})
	for _, tc := range []struct {
		name, token, body string
		status            int
	}{
		{"no key", "", `{"name":"x","owner":"root","scopes":["*"]}`, 401},
		{"no key, as admin", "", `{"name":"x","kind":"admin"}`, 401},
		{"ordinary key with every scope", ordinary, `{"name":"x","scopes":["*"]}`, 401},
		{"admin key that may only read", f.Admin("keys:read"), `{"name":"x","rate_limit":"1000/s"}`, 403},
		{"admin key that may only verify", f.Admin("verify"), `{"name":"x","kind":"admin"}`, 403},
		{"made by another", f.Admin(), `{"name":"x","created_by":"key:root"}`, 422},
		{"a caller of his choice", f.Admin(), `{"name":"x","caller":"root","user_id":"root"}`, 422},
		{"a secret of his choice", f.Admin(), `{"name":"x","secret":"mcpk_"}`, 422},
		{"an id of his choice", f.Admin(), `{"name":"x","id":"abcdefghijkl"}`, 422},
		{"never revoked", f.Admin(), `{"name":"x","revoked_at":null}`, 422},
	} {
		before := f.State()
		a := f.Send("POST", "/v1/keys", tc.token, tc.body)
		if a.Status != tc.status || f.State() != before {
			t.Errorf("%s: got %d %s and %+v, want %d and %+v", tc.name, a.Status, a.Body, f.State(), tc.status, before)
		}
	}
}

// A2. The attack: a second way to present a key is checked by other code, with another result
// or its own limit.
func TestA2OneKeyOneDecision(t *testing.T) {
	f := servertest.New(t)
	token, _ := f.Issue(admin.IssueRequest{RateLimit: keys.RateLimit{Count: 3, Window: time.Hour, Burst: 3}})
	by := func(name, value string) servertest.Answer {
		r := f.Request("GET", "/v1/whoami", "", "")
		r.Header.Set(name, value)
		return f.Do(r)
	}
	verify := func(scopes string) api.Verification {
		var v api.Verification
		f.Send("POST", "/v1/verify", f.Admin("verify"), `{"key":"`+token+`"`+scopes+`}`).Read(t, &v)
		return v
	}
	bearer, header := by("Authorization", "Bearer "+token), by("X-API-Key", token)
	if bearer.Status != 200 || bearer.Body != header.Body {
		t.Errorf("by bearer %d %s, by X-API-Key %d %s: want the same", bearer.Status, bearer.Body, header.Status, header.Body)
	}
	if v := verify(""); !v.Valid {
		t.Errorf("third use, by verify: got %+v, want valid", v)
	}
	for _, tc := range []struct{ header, value string }{
		{"Authorization", "Bearer " + token}, {"Authorization", "bearer " + token}, {"X-API-Key", token},
	} {
		if a := by(tc.header, tc.value); a.Status != 429 || a.Problem(t).Code != "rate_limited" {
			t.Errorf("fourth use, by %s: got %d, want 429", tc.header, a.Status)
		}
	}
	if v := verify(""); v.Code != "rate_limited" || v.RetryAfter < 1 {
		t.Errorf("fourth use, by verify: got %+v, want rate_limited", v)
	}
	both := f.Request("GET", "/v1/whoami", token, "")
	both.Header.Set("X-API-Key", token)
	if a := f.Do(both); a.Status != 400 {
		t.Errorf("the same key twice: got %d, want 400", a.Status)
	}
}

// A12. The attack: headers that a proxy would set claim another client address, another
// request, or a health check.
func TestA12ForwardingHeadersAreNotBelieved(t *testing.T) {
	f := servertest.New(t)
	elsewhere, _ := f.Issue(admin.IssueRequest{Kind: keys.KindAdmin, AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	here, _ := f.Issue(admin.IssueRequest{Kind: keys.KindAdmin, AllowedIPs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	_, target := f.Issue(admin.IssueRequest{})
	before := f.State()
	for name, value := range map[string]string{
		"X-Forwarded-For": "10.1.1.1", "X-Real-Ip": "10.1.1.1", "Forwarded": "for=10.1.1.1", "True-Client-Ip": "10.1.1.1",
		"Cf-Connecting-Ip": "10.1.1.1", "X-Client-Ip": "10.1.1.1", "X-Forwarded-Host": "10.1.1.1", "X-Appengine-Remote-Addr": "10.1.1.1",
		"X-Forwarded-Method": "POST", "X-Http-Method-Override": "POST", "X-Forwarded-Uri": "/healthz", "X-Original-Url": "/healthz",
		"X-Rewrite-Url": "/v1/keys/" + target + "/revoke", "User-Agent": "kube-probe/1.30", "X-Forwarded-Prefix": "/healthz", "X-Forwarded-User": "root",
	} {
		send := func(token string) int {
			r := f.Request("GET", "/v1/keys", token, "")
			r.Header.Set(name, value)
			return f.Do(r).Status
		}
		if got := send(elsewhere); got != 403 {
			t.Errorf("%s: %s with a key bound to 10.0.0.0/8: got %d, want 403", name, value, got)
		}
		if got := send(here); got != 200 {
			t.Errorf("%s: %s with a key bound to this machine: got %d, want 200", name, value, got)
		}
		if got := send(""); got != 401 {
			t.Errorf("%s: %s without a key: got %d, want 401", name, value, got)
		}
	}
	if after := f.State(); after != before {
		t.Errorf("from %+v to %+v", before, after)
	}
}

// A15. The attack: a path, a method or an upgrade that the guard and the router understand
// differently.
func TestA15NoPathSlipsPast(t *testing.T) {
	f := servertest.New(t)
	_, id := f.Issue(admin.IssueRequest{})
	host := strings.TrimPrefix(f.URL, "http://")
	lines := []string{
		"GET //v1/keys", "GET /v1//keys", "GET /v1/keys/", "GET /v1/keys;x", "GET /v1/keys;/healthz", "GET /v1/./keys",
		"GET /healthz/../v1/keys", "GET /healthz/..%2fv1/keys", "GET /healthz%2f..%2fv1%2fkeys", "GET /v1%2fkeys", "GET /v1/keys%00",
		"GET /v1/keys%20", "GET /v1/keys/%2e%2e/whoami", "GET /v1/keys/" + id + "%2frevoke", "GET /V1/KEYS", "GET /v1/keys?x=/healthz",
		"GET http://" + host + "/v1/keys", "GET http://evil/v1/keys", "HEAD /v1/keys", "OPTIONS /v1/keys", "OPTIONS *", "TRACE /v1/keys",
		"CONNECT /v1/keys", "PROPFIND /v1/keys", "get /v1/keys", "PATCH /v1/keys/" + id, "POST /v1/keys/" + id + "/revoke",
		"POST /v1/keys/" + id + "/revoke/", "POST /v1/keys/" + id + "%2Frevoke", "POST //v1/keys/" + id + "/revoke", "POST /v1/verify",
		"GET /openapi.json/../v1/keys", "GET /readyz//v1/keys", "GET /healthz/v1/keys", "POST /healthz", "GET /debug/pprof/", "GET /metrics",
	}
	upgrades := []string{
		"", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
		"X-HTTP-Method-Override: GET\r\n", "Content-Length: 0\r\nExpect: 100-continue\r\n",
	}
	before := f.State()
	for _, line := range lines {
		for _, upgrade := range upgrades {
			status := raw(t, host, line+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n"+upgrade+"\r\n")
			if status == 101 || status < 400 && !strings.HasPrefix(line, "OPTIONS *") {
				t.Errorf("%q with %q and no key: got %d, want a refusal", line, upgrade, status)
			}
		}
	}
	if status := raw(t, host, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); status < 400 {
		t.Errorf("HTTP/2 without TLS: got %d, want a refusal", status)
	}
	if after := f.State(); after != before {
		t.Errorf("from %+v to %+v", before, after)
	}
}

// raw sends text unchanged and returns the status of the answer.
func raw(t *testing.T, host, text string) int {
	t.Helper()
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 400 // the connection was closed: also a refusal
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// A16. The attack: a web page that a user of this machine opens calls the server, through the
// page's own name that resolves to 127.0.0.1, or with a form. The browser would send a key that
// it holds.
func TestA16WebPagesAreRefused(t *testing.T) {
	f := servertest.New(t)
	admin := f.Admin()
	port := f.URL[strings.LastIndex(f.URL, ":"):]
	before := f.State()
	for _, tc := range []struct {
		name, host string
		header     map[string]string
		status     int
		code       string
	}{
		{"a name that was made to resolve here", "evil.example" + port, nil, 421, "wrong_host"},
		{"and its origin", "evil.example" + port, map[string]string{"Origin": "http://evil.example" + port}, 421, "wrong_host"},
		{"a name that begins right", "localhost.evil.example" + port, nil, 421, "wrong_host"},
		{"a name that ends right", "evil-localhost" + port, nil, 421, "wrong_host"},
		{"any address", "0.0.0.0" + port, nil, 421, "wrong_host"},
		{"another origin", "", map[string]string{"Origin": "http://evil.example"}, 403, "cross_origin"},
		{"another port's origin", "", map[string]string{"Origin": "http://localhost:1"}, 403, "cross_origin"},
		{"no origin to speak of", "", map[string]string{"Origin": "null"}, 403, "cross_origin"},
		{"another site, as the browser says", "", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, "cross_origin"},
		{"a sibling site", "", map[string]string{"Sec-Fetch-Site": "same-site"}, 403, "cross_origin"},
		{"a form that sends text", "", map[string]string{"Content-Type": "text/plain"}, 415, "unsupported_media_type"},
		{"a form", "", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"},
	} {
		r := f.Request("POST", "/v1/keys", admin, `{"name":"x"}`)
		r.Host = tc.host
		for name, value := range tc.header {
			r.Header.Set(name, value)
		}
		a := f.Do(r)
		if a.Status != tc.status {
			t.Errorf("%s: got %d %s, want %d", tc.name, a.Status, a.Body, tc.status)
			continue
		}
		if got := a.Problem(t).Code; got != tc.code {
			t.Errorf("%s: got code %q, want %q", tc.name, got, tc.code)
		}
		if got := a.Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s: got Access-Control-Allow-Origin %q", tc.name, got)
		}
	}
	for _, host := range []string{"localhost" + port, "LOCALHOST" + port, "127.0.0.1" + port, "[::1]" + port, "localhost:1", "localhost"} {
		r := f.Request("GET", "/v1/whoami", admin, "")
		r.Host = host
		if a := f.Do(r); a.Status != 200 {
			t.Errorf("Host %s: got %d, want 200", host, a.Status)
		}
	}
	if after := f.State(); after != before {
		t.Errorf("from %+v to %+v", before, after)
	}
	for _, code := range []string{"wrong_host", "cross_origin"} {
		if !strings.Contains(f.Log(), `"msg":"request refused","code":"`+code+`"`) {
			t.Errorf("the log does not tell of %s", code)
		}
	}
	if strings.Contains(f.Log(), "evil") {
		t.Error("the log holds what the page chose")
	}
}

// A26. The attack: a limited admin key makes, or acts on, one without its limits.
func TestA26NoKeyExceedsItsMaker(t *testing.T) {
	f := servertest.New(t)
	limited := func(req admin.IssueRequest) string {
		req.Kind = keys.KindAdmin
		token, _ := f.Issue(req)
		return token
	}
	day, err := keys.ParseExpiry("1d")
	if err != nil {
		t.Fatal(err)
	}
	writer := limited(admin.IssueRequest{Scopes: []string{"keys:write"}})
	brief := limited(admin.IssueRequest{Expires: day, MaxKeyLife: 24 * time.Hour})
	weather := limited(admin.IssueRequest{Audience: []string{"weather"}})
	several := limited(admin.IssueRequest{Audience: []string{"weather", "maps"}})
	local := limited(admin.IssueRequest{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	_, root := f.Issue(admin.IssueRequest{Kind: keys.KindAdmin})
	before := f.State()
	for _, tc := range []struct{ name, token, path, body string }{
		{"more scopes", writer, "/v1/keys", `{"name":"x","kind":"admin","scopes":["keys:read"]}`},
		{"all scopes by naming none", writer, "/v1/keys", `{"name":"x","kind":"admin"}`},
		{"a stronger key's end", writer, "/v1/keys/" + root + "/revoke", `{}`},
		{"a longer life", brief, "/v1/keys", `{"name":"x","expires_in":"2d"}`},
		{"an admin key that outlives it", brief, "/v1/keys", `{"name":"x","kind":"admin","expires_in":"2d"}`},
		{"a longer bound for another admin key", brief, "/v1/keys", `{"name":"x","kind":"admin","expires_in":"1h","max_key_life":"2d"}`},
		{"life for ever", brief, "/v1/keys", `{"name":"x","expires_in":"never"}`},
		{"another server", weather, "/v1/keys", `{"name":"x","audience":["maps"]}`},
		{"one more server", weather, "/v1/keys", `{"name":"x","audience":["weather","maps"]}`},
		{"other addresses", local, "/v1/keys", `{"name":"x","allowed_ips":["0.0.0.0/0"]}`},
		{"a check for another server", weather, "/v1/verify", `{"key":"x","audience":"maps"}`},
		{"a check for no server in particular", several, "/v1/verify", `{"key":"x"}`},
	} {
		a := f.Send("POST", tc.path, tc.token, tc.body)
		if a.Status != 403 || a.Problem(t).Code != "forbidden" {
			t.Errorf("%s: got %d %s, want 403 forbidden", tc.name, a.Status, a.Body)
		}
	}
	if after := f.State(); after != before {
		t.Errorf("from %+v to %+v", before, after)
	}

	// Fields that are left out are inherited.
	for _, tc := range []struct {
		name, token string
		holds       func(api.Issued) bool
	}{
		{"brief", brief, func(k api.Issued) bool { return k.ExpiresAt != nil && time.Until(*k.ExpiresAt) <= 24*time.Hour }},
		{"weather", weather, func(k api.Issued) bool { return fmt.Sprint(k.Audience) == "[weather]" }},
		{"local", local, func(k api.Issued) bool { return fmt.Sprint(k.AllowedIPs) == "[127.0.0.0/8]" }},
	} {
		a := f.Send("POST", "/v1/keys", tc.token, `{"name":"of-`+tc.name+`"}`)
		var k api.Issued
		if a.Read(t, &k); a.Status != 201 || !tc.holds(k) {
			t.Errorf("%s: got %d %+v, want its maker's limit", tc.name, a.Status, k.Key)
		}
	}
}
