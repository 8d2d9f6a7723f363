package server_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
)

// exchange sends the bytes of a request as they are.
func exchange(t *testing.T, f *servertest.Fixture, request string) servertest.Answer {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(f.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return servertest.Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
}

// sdk is a token verifier in another language: the bytes that it sends, and what it reads of the
// answer, both written after its source. The order of the headers is not in the source.
type sdk struct {
	name    string
	request func(host, caller, token, query string) string
	read    func(*testing.T, map[string]any, reading)
}

// reading is what an SDK must read of an answer.
type reading struct {
	id, audience string
	scopes       []string
}

func httpx(host, query, headers, body string) string {
	return "POST /v1/introspect" + query + " HTTP/1.1\r\nHost: " + host + "\r\n" + headers +
		"Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nUser-Agent: python-httpx/0.28.1\r\n" +
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body
}

func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)) + "\r\n"
}

var sdks = []sdk{
	// PrefectHQ/fastmcp 24428ed, src/fastmcp/server/auth/providers/introspection.py.
	{"FastMCP, client_secret_basic", func(host, caller, token, query string) string {
		return httpx(host, query, "Accept: application/json\r\n"+basic("mcp-server", caller), "token="+token+"&token_type_hint=access_token")
	}, readFastMCP},
	{"FastMCP, client_secret_post", func(host, caller, token, query string) string {
		return httpx(host, query, "Accept: application/json\r\n",
			"token="+token+"&token_type_hint=access_token&client_id=mcp-server&client_secret="+caller)
	}, readFastMCP},
	// The recipe of docs/other-languages.md, with the classes of modelcontextprotocol/python-sdk
	// 0456e8e (bearer_auth.py) and the fields of its example 1b74b06 (token_verifier.py).
	{"Python SDK", func(host, caller, token, query string) string {
		q, _ := url.ParseQuery(strings.TrimPrefix(query, "?"))
		return httpx(host, "", "Accept: */*\r\nAuthorization: Bearer "+caller+"\r\n",
			"token="+token+"&audience="+url.QueryEscape(q.Get("audience"))+"&scope="+url.QueryEscape(q.Get("scope")))
	}, readPython},
	// spring-projects/spring-security bec1127, SpringOpaqueTokenIntrospector.java.
	{"Spring", func(host, caller, token, query string) string {
		body := "token=" + token
		return "POST /v1/introspect" + query + " HTTP/1.1\r\nAccept: application/json\r\n" +
			"Content-Type: application/x-www-form-urlencoded;charset=UTF-8\r\n" + basic("mcp-server", caller) +
			"User-Agent: Java/21\r\nHost: " + host + "\r\nConnection: keep-alive\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body
	}, readSpring},
}

func readFastMCP(t *testing.T, data map[string]any, want reading) {
	t.Helper()
	id, ok := data["client_id"].(string) // str(client_id), else sub
	if !ok || id != want.id {
		t.Errorf("client_id: got %v, want %s", data["client_id"], want.id)
	}
	if exp := number(t, data, "exp"); float64(exp) < float64(time.Now().UnixMicro())/1e6 { // exp < time.time()
		t.Errorf("exp: got %d, which is over", exp)
	}
	readScope(t, data, want)
}

func readPython(t *testing.T, data map[string]any, want reading) {
	t.Helper()
	if data["client_id"] != want.id || data["sub"] != want.id {
		t.Errorf("client_id and sub: got %v and %v, want %s", data["client_id"], data["sub"], want.id)
	}
	if exp := number(t, data, "exp"); exp < time.Now().Unix() { // expires_at < int(time.time())
		t.Errorf("exp: got %d, which is over", exp)
	}
	if data["aud"] != want.audience { // a string, compared with resource_server_url
		t.Errorf("aud: got %v, want %s", data["aud"], want.audience)
	}
	if _, ok := data["iss"]; ok {
		t.Errorf("iss: got %v, which sessions would compare", data["iss"])
	}
	readScope(t, data, want)
}

func readSpring(t *testing.T, data map[string]any, want reading) {
	t.Helper()
	if data["aud"] != want.audience || data["client_id"] != want.id || data["sub"] != want.id || data["username"] != "sdk" {
		t.Errorf("got %v, want the audience %s, the key %s and the name sdk", data, want.audience, want.id)
	}
	if now, exp := time.Now().Unix(), number(t, data, "exp"); now >= exp {
		t.Errorf("at %d: got exp %d", now, exp)
	}
	readScope(t, data, want)
}

// readScope reads scope as all of them do: a string, split at spaces.
func readScope(t *testing.T, data map[string]any, want reading) {
	t.Helper()
	scope, present := data["scope"]
	text, isString := scope.(string)
	if (present && !isString) || !slices.Equal(strings.Fields(text), want.scopes) {
		t.Errorf("scope: got %v, want %v", scope, want.scopes)
	}
}

// number is an integer member.
func number(t *testing.T, data map[string]any, name string) int64 {
	t.Helper()
	n, err := data[name].(json.Number).Int64()
	if err != nil {
		t.Errorf("%s: got %v, want an integer", name, data[name])
	}
	return n
}

// Each SDK's request gets an answer that its code accepts, for a key with a pattern, one that
// never expires, one without the scopes, and gets a clean denial for every other key.
func TestIntrospectionServesSDKs(t *testing.T) {
	for _, audience := range []string{"weather", "https://mcp.internal/weather"} {
		f := servertest.New(t)
		caller := f.VerifyKey(audience)
		query := "?audience=" + url.QueryEscape(audience) + "&scope=tools%3Aget_forecast+tools:set_alarm"
		pattern, patternID := f.Issue(admin.IssueRequest{Name: "sdk", Scopes: []string{"tools:get_*"}, Audience: []string{audience}, Expires: keys.NeverExpires()})
		revoked, id := f.Issue(admin.IssueRequest{Scopes: []string{"*"}})
		f.Revoke(id)
		elsewhere, _ := f.Issue(admin.IssueRequest{Scopes: []string{"*"}, Audience: []string{"billing"}})
		for _, s := range sdks {
			host := strings.TrimPrefix(f.URL, "http://")
			a := exchange(t, f, s.request(host, caller, pattern, query))
			if a.Status != http.StatusOK || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("%s: got %d %v %s, want 200", s.name, a.Status, a.Header, a.Body)
			}
			data := members(t, a.Body)
			if data["active"] != true || data["token_type"] != "Bearer" {
				t.Errorf("%s: got %s, want an active key", s.name, a.Body)
			}
			s.read(t, data, reading{patternID, audience, []string{"tools:get_forecast"}})

			for what, token := range map[string]string{
				"revoked": revoked, "of another audience": elsewhere, "an admin key": f.Admin(), "the caller's own": caller,
				"unknown": keys.NewToken(keys.KindKey).Secret().Reveal(), "no key": "nonsense", "empty": "",
			} {
				a := exchange(t, f, s.request(host, caller, token, query))
				if a.Status != http.StatusOK || strings.TrimSpace(a.Body) != `{"active":false}` {
					t.Errorf("%s, %s: got %d %s, want inactive and nothing else", s.name, what, a.Status, a.Body)
				}
			}
			for what, caller := range map[string]string{"none": "", "an ordinary key": pattern, "a revoked key": revoked} {
				if a := exchange(t, f, s.request(host, caller, pattern, query)); a.Status != http.StatusUnauthorized {
					t.Errorf("%s, caller %s: got %d, want 401", s.name, what, a.Status)
				}
			}
		}
	}
}

func members(t *testing.T, body string) (data map[string]any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&data); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return data
}

// form is an introspection with a form as its body. An empty caller sends no credentials.
func form(f *servertest.Fixture, query, body, caller string) *http.Request {
	r := f.Request("POST", "/v1/introspect"+query, caller, body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// Requests that cannot be answered are refused, in the right form, without an echo, and change
// nothing.
func TestIntrospectionRefusesBadInput(t *testing.T) {
	f := servertest.New(t)
	caller := f.VerifyKey("weather")
	token, _ := f.Issue(admin.IssueRequest{Scopes: []string{"tools:*"}, Audience: []string{"weather", "billing"}})
	good := "token=" + token
	many := strings.TrimSuffix(strings.Repeat("tools:a+", 501), "+")
	for _, tc := range []struct {
		name, query, body string
		status            int
		code              string
	}{
		{"two tokens", "", good + "&" + good, 422, "invalid_argument"},
		{"no token", "", "token_type_hint=" + spoilt, 422, "invalid_argument"},
		{"token in the query", "?token=" + token, "", 422, "invalid_argument"},
		{"token in both", "?token=" + token, good, 422, "invalid_argument"},
		{"unknown parameter in the query", "?" + spoilt + "=1", good, 422, "invalid_argument"},
		{"caller in the query", "?client_secret=" + spoilt, good, 422, "invalid_argument"},
		{"scope in both", "?scope=tools:a", good + "&scope=tools:" + spoilt, 422, "invalid_argument"},
		{"scope twice", "", good + "&scope=tools:a&scope=tools:" + spoilt, 422, "invalid_argument"},
		{"scope twice in the query", "?scope=tools:a&scope=tools:" + spoilt, good, 422, "invalid_argument"},
		{"audience in both", "?audience=weather", good + "&audience=weather", 422, "invalid_argument"},
		{"client_ip twice", "", good + "&client_ip=10.0.0.1&client_ip=10.0.0.2", 422, "invalid_argument"},
		{"client_ip with a port", "", good + "&client_ip=10.0.0.1:" + spoilt, 422, "invalid_argument"},
		{"an empty catalogue", "?scope=", good, 422, "invalid_argument"},
		{"an empty catalogue in the form", "", good + "&scope=+", 422, "invalid_argument"},
		{"an empty audience", "?audience=", good, 422, "invalid_argument"},
		{"a pattern", "?scope=tools:*" + spoilt, good, 422, "invalid_argument"},
		{"501 scopes", "", good + "&scope=" + many, 422, "invalid_argument"},
		{"NUL in a scope", "", good + "&scope=" + spoilt + "%00", 422, "invalid_argument"},
		{"NUL in the query", "?scope=" + spoilt + "%00", good, 422, "invalid_argument"},
		{"NUL in the audience", "", good + "&audience=" + spoilt + "%00", 422, "invalid_argument"},
		{"half a surrogate pair in the audience", "", good + "&audience=" + spoilt + "%ed%a0%80", 422, "invalid_argument"},
		{"audience that is not the caller's", "", good + "&audience=billing", 403, "forbidden"},
		{"audience with a space", "", good + "&audience=a+" + spoilt, 422, "invalid_argument"},
		{"broken escape", "", good + "&scope=%zz" + spoilt, 422, "invalid_argument"},
		{"semicolon", "", good + ";a=" + spoilt, 422, "invalid_argument"},
		{"empty", "", "", 422, "invalid_argument"},
		{"1 MB", "", good + "&a=" + strings.Repeat("x", 1<<20), 413, "too_large"},
	} {
		t.Run(strings.ReplaceAll(tc.name, " ", "_"), func(t *testing.T) {
			r := form(f, tc.query, tc.body, caller)
			refusedOrNot(t, f, r, tc.status, tc.code)
		})
	}
	for _, kind := range []string{
		"", "application/json", "text/plain", "multipart/form-data; boundary=a", "application/x-www-form-urlencoded; charset=latin1",
		"application/x-www-form-urlencoded; charset=utf-8; a=b", "application/x-www-form-urlencoded, text/plain", "a/" + spoilt, ";",
	} {
		r := form(f, "", good, caller)
		r.Header.Set("Content-Type", kind)
		refusedOrNot(t, f, r, 415, "unsupported_media_type")
	}
	r := form(f, "", good, caller)
	r.Header.Add("Content-Type", "application/x-www-form-urlencoded")
	refusedOrNot(t, f, r, 415, "unsupported_media_type")
	for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS", "HEAD"} {
		if a := f.Send(method, "/v1/introspect?token="+token, caller, ""); a.Status != 405 {
			t.Errorf("%s: got %d, want 405", method, a.Status)
		}
	}
	if f.Admin(); strings.Contains(f.Log(), spoilt) || strings.Contains(f.Log(), secretOf(token)) || strings.Contains(f.Log(), secretOf(caller)) {
		t.Error("the log holds a part of a request")
	}
	// These are odd, and are answered.
	for name, body := range map[string]string{
		"unknown member": good + "&resource=a", "500 scopes": good + "&scope=" + strings.TrimSuffix(strings.Repeat("tools:a+", 500), "+"),
		"64 KiB":                  good + "&a=" + strings.Repeat("x", 64<<10-len(good)-3),
		"half a surrogate pair":   "token=%ed%a0%80&scope=tools:a",
		"not UTF-8":               "token=%ff",
		"NUL":                     "token=a%00b",
		"the audience of the key": good + "&audience=weather",
	} {
		if a := f.Do(form(f, "", body, caller)); a.Status != 200 || strings.Contains(a.Body, `"active":true`) != strings.HasPrefix(body, good) {
			t.Errorf("%s: got %d %s, want 200", name, a.Status, a.Body)
		}
	}
}

func secretOf(token string) string { return token[strings.LastIndexByte(token, '_')+1:] }

// The caller's key is in one place: two of them are refused, also if they are equal.
func TestIntrospectionTakesOneCaller(t *testing.T) {
	f := servertest.New(t)
	caller := f.VerifyKey("weather")
	token, _ := f.Issue(admin.IssueRequest{Audience: []string{"weather"}})
	encoded := url.QueryEscape(caller)
	for name, tc := range map[string]struct {
		headers map[string][]string
		body    string
		status  int
	}{
		"Bearer":                        {headers: map[string][]string{"Authorization": {"Bearer " + caller}}, status: 200},
		"bearer":                        {headers: map[string][]string{"Authorization": {"bearer " + caller}}, status: 200},
		"X-API-Key":                     {headers: map[string][]string{"X-API-Key": {caller}}, status: 200},
		"form":                          {body: "&client_secret=" + caller, status: 200},
		"form with client_id":           {body: "&client_id=a%3Ab&client_secret=" + encoded, status: 200},
		"Basic":                         {headers: auth("weather", caller), status: 200},
		"Basic, no user":                {headers: auth("", caller), status: 200},
		"Basic, encoded":                {headers: auth("a%3Ab", encoded), status: 200},
		"Basic, every byte escaped":     {headers: auth("a", percent(caller)), status: 200},
		"Basic, user with % and +":      {headers: auth("100%+%zz", caller), status: 200},
		"Basic, user not ASCII":         {headers: auth("wetter-köln", caller), status: 200},
		"Basic, user in Latin-1":        {headers: auth("k\xf6ln", caller), status: 200},
		"Basic, user with a colon":      {headers: auth("a:b", caller), status: 401},
		"Basic, newline at the end":     {headers: auth("a", caller+"\n"), status: 401},
		"Basic, encoded newline":        {headers: auth("a", encoded+"%0A"), status: 401},
		"Basic, space at the end":       {headers: auth("a", caller+"+"), status: 401},
		"Basic, broken escape":          {headers: auth("a", caller+"%zz"), status: 401},
		"Basic, no password":            {headers: auth("a", ""), status: 401},
		"Basic, no colon":               {headers: map[string][]string{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(caller))}}, status: 401},
		"Basic, not base64":             {headers: map[string][]string{"Authorization": {"Basic !"}}, status: 401},
		"Basic, secret as user":         {headers: auth(caller, ""), status: 401},
		"Basic and form":                {headers: auth("a", caller), body: "&client_secret=" + caller, status: 400},
		"Bearer and form":               {headers: map[string][]string{"Authorization": {"Bearer " + caller}}, body: "&client_secret=" + caller, status: 400},
		"Bearer and X-API-Key":          {headers: map[string][]string{"Authorization": {"Bearer " + caller}, "X-API-Key": {caller}}, status: 400},
		"Basic and X-API-Key":           {headers: map[string][]string{"Authorization": auth("a", caller)["Authorization"], "X-API-Key": {caller}}, status: 400},
		"X-API-Key and form":            {headers: map[string][]string{"X-API-Key": {caller}}, body: "&client_secret=" + caller, status: 400},
		"form twice":                    {body: "&client_secret=" + caller + "&client_secret=" + caller, status: 400},
		"form, empty and full":          {body: "&client_secret=&client_secret=" + caller, status: 400},
		"Basic and Bearer":              {headers: map[string][]string{"Authorization": {auth("a", caller)["Authorization"][0], "Bearer " + caller}}, status: 400},
		"Basic twice":                   {headers: map[string][]string{"Authorization": {auth("a", caller)["Authorization"][0], auth("a", caller)["Authorization"][0]}}, status: 400},
		"Basic, wrong, and form, right": {headers: auth("a", "wrong"), body: "&client_secret=" + caller, status: 401},
		"none":                          {status: 401},
	} {
		r := form(f, "", "token="+token+tc.body, "")
		for name, values := range tc.headers {
			r.Header[http.CanonicalHeaderKey(name)] = values
		}
		a := f.Do(r)
		if a.Status != tc.status {
			t.Errorf("%s: got %d %s, want %d", name, a.Status, a.Body, tc.status)
		}
		if strings.Contains(a.Body+fmt.Sprint(a.Header), secretOf(caller)) || strings.Contains(a.Body+fmt.Sprint(a.Header), secretOf(token)) {
			t.Errorf("%s: a secret is in the answer", name)
		}
	}
	if strings.Contains(f.Log(), secretOf(caller)) || strings.Contains(f.Log(), secretOf(token)) {
		t.Error("a secret is in the log")
	}
}

func auth(user, password string) map[string][]string {
	return map[string][]string{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}}
}

func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}

// A limited key is 429 with Retry-After, and a store that cannot be read 503: neither says that
// the key is inactive, which clients may keep.
func TestIntrospectionLimitAndOutage(t *testing.T) {
	f := servertest.New(t)
	caller := f.VerifyKey("weather")
	limited, _ := f.Issue(admin.IssueRequest{RateLimit: keys.RateLimit{Count: 1, Window: 24 * time.Hour, Burst: 1}})
	unseen, _ := f.Issue(admin.IssueRequest{})
	if a := f.Do(form(f, "", "token="+limited, caller)); a.Status != 200 {
		t.Fatalf("got %d %s, want 200", a.Status, a.Body)
	}
	a := f.Do(form(f, "", "token="+limited, caller))
	if a.Status != 429 || a.Header.Get("Retry-After") == "" || a.Problem(t).Code != "rate_limited" {
		t.Errorf("limited: got %d %v %s, want 429 with Retry-After", a.Status, a.Header, a.Body)
	}
	if err := f.Store.Close(); err != nil {
		t.Fatal(err)
	}
	a = f.Do(form(f, "", "token="+unseen, caller))
	if a.Status != 503 || a.Problem(t).Code != "unavailable" || strings.Contains(a.Body, "active") {
		t.Errorf("store closed: got %d %s, want 503", a.Status, a.Body)
	}
}
