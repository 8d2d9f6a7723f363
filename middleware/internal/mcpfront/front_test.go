package mcpfront_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/mcpkeystest"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
)

// Before a key is checked, a request is refused that a foreign page sends, that names another host,
// or that looks for OAuth.
func TestAdmit(t *testing.T) {
	k := mcpkeystest.New()
	t.Cleanup(func() { _ = k.Close() })
	secret := k.Issue()
	open := mcpfront.New("test", k.Guard(nil), []string{"https://inspector.example"}, nil, true)
	named := mcpfront.New("test", k.Guard(nil), nil, []string{"mcp.example"}, true)
	for _, c := range []struct {
		what   string
		front  *mcpfront.Front
		method string
		url    string
		origin string
		key    bool
		status int // 0: admitted
		code   string
	}{
		{"a program", open, "POST", "http://any.example/mcp", "", true, 0, ""},
		{"without a key", open, "POST", "http://any.example/mcp", "", false, 401, "no_credential"},
		{"the server's own page", open, "POST", "http://any.example/mcp", "http://any.example", true, 0, ""},
		{"a trusted page", open, "POST", "http://any.example/mcp", "https://inspector.example", true, 0, ""},
		{"a foreign page", open, "POST", "http://any.example/mcp", "https://evil.example", true, 403, "origin_not_allowed"},
		{"a page without an origin", open, "POST", "http://any.example/mcp", "null", true, 403, "origin_not_allowed"},
		{"a trusted page in another scheme", open, "POST", "http://any.example/mcp", "http://inspector.example", true, 403, "origin_not_allowed"},
		{"the named host", named, "POST", "http://mcp.example/mcp", "", true, 0, ""},
		{"the named host, with a port", named, "POST", "http://mcp.example:8080/mcp", "", true, 0, ""},
		{"another host", named, "POST", "http://evil.example/mcp", "", true, 421, "wrong_host"},
		{"another host, without a key", named, "POST", "http://evil.example/mcp", "", false, 421, "wrong_host"},
		{"metadata of OAuth", open, "GET", "http://any.example/.well-known/oauth-protected-resource", "", true, 404, "no_route"},
		{"metadata below", open, "GET", "http://any.example/mcp/.well-known/openid-configuration", "", true, 404, "no_route"},
		{"registration", open, "POST", "http://any.example/register", "", true, 400, "invalid_client_metadata"},
	} {
		r, w := httptest.NewRequest(c.method, c.url, nil), httptest.NewRecorder()
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if c.key {
			r.Header.Set("Authorization", "Bearer "+secret)
		}
		admitted, ok := c.front.Admit(w, r)
		switch {
		case ok != (c.status == 0):
			t.Errorf("%s: admitted %v: %d %s", c.what, ok, w.Code, w.Body)
		case ok && admitted.Header.Get("Authorization") != "":
			t.Errorf("%s: the secret passed", c.what)
		case !ok && (w.Code != c.status || !strings.Contains(w.Body.String(), c.code)):
			t.Errorf("%s: got %d %s, want %d %s", c.what, w.Code, w.Body, c.status, c.code)
		}
	}
}

func TestNewRefusesOptionsThatNeverMatch(t *testing.T) {
	k := mcpkeystest.New()
	t.Cleanup(func() { _ = k.Close() })
	for _, c := range []struct{ origins, hosts []string }{
		{origins: []string{"inspector.example"}},
		{origins: []string{"https://Inspector.example"}},
		{origins: []string{"https://inspector.example/"}},
		{origins: []string{"ftp://inspector.example"}},
		{hosts: []string{"http://mcp.example"}},
		{hosts: []string{""}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New(%q, %q): accepted", c.origins, c.hosts)
				}
			}()
			mcpfront.New("test", k.Guard(nil), c.origins, c.hosts, true)
		}()
	}
}

func TestSessionless(t *testing.T) {
	for _, c := range []struct {
		version, session string
		want             bool
	}{{"2026-07-28", "", true}, {"2027-01-01", "", true}, {"2026-07-28", "s", false}, {"2025-11-25", "", false}, {"", "", false}} {
		r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		r.Header.Set("Mcp-Protocol-Version", c.version)
		r.Header.Set("Mcp-Session-Id", c.session)
		if got := mcpfront.Sessionless(r); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}
