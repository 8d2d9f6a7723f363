package mcpauth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
)

// TestHostBehindAProxy: a server on loopback behind a proxy that forwards the clients' Host
// accepts the allowed names, and no others.
func TestHostBehindAProxy(t *testing.T) {
	for name, c := range map[string]struct {
		options *mcpauth.Options
		host    string
		want    int
	}{
		"allowed":                    {&mcpauth.Options{AllowedHosts: []string{"mcp.example.com"}}, "mcp.example.com", 200},
		"allowed, a port, a case":    {&mcpauth.Options{AllowedHosts: []string{"mcp.example.com"}}, "MCP.example.com:443", 200},
		"loopback beside a name":     {&mcpauth.Options{AllowedHosts: []string{"mcp.example.com"}}, "localhost", 200},
		"not allowed":                {&mcpauth.Options{AllowedHosts: []string{"mcp.example.com"}}, "evil.example", 421},
		"none allowed":               {nil, "mcp.example.com", 421},
		"the SDK's switch":           {&mcpauth.Options{HTTP: &mcp.StreamableHTTPOptions{DisableLocalhostProtection: true}}, "mcp.example.com", 200},
		"the SDK's switch and names": {&mcpauth.Options{AllowedHosts: []string{"mcp.example.com"}, HTTP: &mcp.StreamableHTTPOptions{DisableLocalhostProtection: true}}, "evil.example", 421},
	} {
		for _, version := range eras {
			t.Run(name+" "+version, func(t *testing.T) {
				s := newSite(t, nil, "add")
				s.serve(c.options)
				token := s.Granted("tools:add")
				r := callOf(version, "add")
				r.token, r.headers = token, append(r.headers, "Host: "+c.host)
				if version < modern {
					r.session = s.open(token)
				}
				status, body := s.post(r)
				if status != c.want {
					t.Errorf("Host %s: got %d %s, want %d", c.host, status, body, c.want)
				}
			})
		}
	}
}

// TestForeignHostIsToldAndLogged: the refusal is a problem that says what to do, and one log
// line names the Host. A secret that was pasted there is in neither.
func TestForeignHostIsToldAndLogged(t *testing.T) {
	s := newSite(t, nil, "add")
	token := s.Granted("tools:add")
	for host, logged := range map[string]string{"evil.example": `"host":"evil.example"`, token: `"host":"[redacted]"`} {
		r := callOf(modern, "add")
		r.token, r.headers = token, append(r.headers, "Host: "+host)
		resp, body := s.do(r)
		if resp.StatusCode != http.StatusMisdirectedRequest || resp.Header.Get("Content-Type") != "application/problem+json" ||
			!strings.Contains(body, `"code":"wrong_host"`) || !strings.Contains(body, "ask its operator to allow the name") {
			t.Errorf("foreign Host: got %d %s, want a problem wrong_host", resp.StatusCode, body)
		}
		s.wantLogged(`"code":"wrong_host"`)
		s.wantLogged(logged)
		if strings.Contains(s.log.String()+body, token) {
			t.Error("the answer or the log shows the key")
		}
	}
}

// TestHostsArePlainNames: a name that no request could have keeps the server from starting.
func TestHostsArePlainNames(t *testing.T) {
	k := guardtest.NewKeyring(t)
	for _, bad := range []string{"*", "https://mcp.example.com", "mcp.example.com:443", ""} {
		mustPanic(t, "AllowedHosts "+bad, func() {
			mcpauth.Handler(k.Guard(nil), mcp.NewServer(&mcp.Implementation{Name: "s"}, nil), &mcpauth.Options{AllowedHosts: []string{bad}})
		})
	}
}
