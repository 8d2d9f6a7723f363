package mcphttp_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The attack: a key that was granted three of a thousand tools looks for the names of the others: in
// each list and its cursors, in notifications when tools change, in refusals, and in base64, in
// which the SDK's cursors have the name of a tool.
func TestThousandTools(t *testing.T) {
	var tools []string
	for i := range 997 {
		tools = append(tools, fmt.Sprintf("hidden_%d", i))
	}
	tools = append(tools, "get_a", "get_b", "add")
	// "hidden_" in the three ways in which base64 may write it.
	secret := regexp.MustCompile(`hidden_|aGlkZGVu|hpZGRlbl|oaWRkZW`)
	for _, version := range eras {
		t.Run(version, func(t *testing.T) {
			server := toolbox(&mcp.ServerOptions{PageSize: 50}, tools...)
			s := newSite(t, sdk(server, mcp.StreamableHTTPOptions{}), nil)
			token := s.Granted("tools:get_*", "tools:add")
			session := ""
			if version == legacy {
				session = s.open(token)
			}
			send := func(method, name, params string) string {
				r := message(version, method, name, "{"+params+"}")
				r.token, r.session = token, session
				resp, body := s.do(r)
				var all strings.Builder
				_ = resp.Header.Write(&all) // a Builder takes everything
				return all.String() + body
			}
			clean := func(what, answer string) {
				t.Helper()
				if found := secret.FindString(answer); found != "" {
					t.Errorf("%s shows %q: %s", what, found, answer)
				}
			}
			list := send("tools/list", "", "")
			clean("the list", list)
			if n := strings.Count(list, `"inputSchema":`); n != 3 || strings.Contains(list, "nextCursor") {
				t.Errorf("the list: got %d tools, want 3 without a cursor: %s", n, list)
			}
			for _, cursor := range []string{"50", "aGlkZGVuXzUw", "Fv-BAwEBCXBhZ2VUb2tlbg"} {
				clean("a list at a cursor", send("tools/list", "", `"cursor":"`+cursor+`"`))
			}
			// A refusal repeats the name that was asked for, and no other.
			for _, name := range []string{"hidden_7", "hidden_4711"} {
				answer := send("tools/call", name, `"name":"`+name+`","arguments":{}`)
				clean("a refusal", strings.ReplaceAll(answer, name, "NAME"))
				if !strings.Contains(answer, `unknown tool`) {
					t.Errorf("a call of %s: got %s, want an unknown tool", name, answer)
				}
			}
			there := send("tools/call", "hidden_7", `"name":"hidden_7","arguments":{}`)
			made := send("tools/call", "hidden_x", `"name":"hidden_x","arguments":{}`)
			dates := regexp.MustCompile(`(?m)^(Date|X-Request-Id|Content-Length): .*$`)
			if a, b := dates.ReplaceAllString(strings.ReplaceAll(there, "hidden_7", "N"), ""), dates.ReplaceAllString(strings.ReplaceAll(made, "hidden_x", "N"), ""); a != b {
				t.Errorf("a hidden tool and one that does not exist are refused differently:\n%s\n%s", a, b)
			}
			for _, r := range s.reached() {
				if strings.Contains(r.body, "hidden_") {
					t.Errorf("a denied call reached the server: %s", r.body)
				}
			}
			if version == legacy {
				clean("a notification", s.changed(t, server, token, session))
			}
		})
	}
}

// changed is what the open stream of a session gets when hidden tools are added and removed.
func (s *site) changed(t *testing.T, server *mcp.Server, token, session string) string {
	t.Helper()
	resp := s.stream(request{verb: http.MethodGet, token: token, session: session, version: legacy})
	defer func() { _ = resp.Body.Close() }()
	server.RemoveTools("hidden_1")
	var got strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(got.String(), "tools/list_changed") {
		n, err := resp.Body.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			t.Fatalf("the stream ended: %v after %s", err, got.String())
		}
	}
	return got.String()
}
