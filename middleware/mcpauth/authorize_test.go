package mcpauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
)

// furnished serves a tool, a prompt, a resource and a template with each name, and completes
// every argument.
func furnished(t *testing.T, names ...string) *site {
	t.Helper()
	s := newSite(t, &mcp.ServerOptions{
		CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{"completed"}}}, nil
		},
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})
	read := func(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: req.Params.URI, Text: "content"}}}, nil
	}
	prompt := func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{Description: "content"}, nil
	}
	for _, name := range names {
		s.tool(name)
		s.server.AddPrompt(&mcp.Prompt{Name: name}, prompt)
		s.server.AddResource(&mcp.Resource{Name: name, URI: "doc://" + name}, read)
		s.server.AddResourceTemplate(&mcp.ResourceTemplate{Name: name, URITemplate: "doc://" + name + "/{page}"}, read)
	}
	return s
}

// publicOnly grants only what is named public.
var publicOnly = []string{"tools:public", "prompts:public", mcpscope.ResourcePattern("doc://public*")}

// uses are all the ways to name a thing.
func uses(version, name string) map[string]request {
	uri := "doc://" + name
	all := map[string]request{
		"tools/call":            callOf(version, name),
		"prompts/get":           message(version, "prompts/get", name, fmt.Sprintf(`{"name":%q}`, name)),
		"resources/read":        message(version, "resources/read", uri, fmt.Sprintf(`{"uri":%q}`, uri)),
		"read by template":      message(version, "resources/read", uri+"/1", fmt.Sprintf(`{"uri":%q}`, uri+"/1")),
		"complete for a prompt": message(version, "completion/complete", "", fmt.Sprintf(`{"ref":{"type":"ref/prompt","name":%q},"argument":{"name":"a","value":"x"}}`, name)),
		"complete for resource": message(version, "completion/complete", "", fmt.Sprintf(`{"ref":{"type":"ref/resource","uri":%q},"argument":{"name":"a","value":"x"}}`, uri+"/{page}")),
	}
	if version < modern {
		all["resources/subscribe"] = message(version, "resources/subscribe", "", fmt.Sprintf(`{"uri":%q}`, uri))
		all["resources/unsubscribe"] = message(version, "resources/unsubscribe", "", fmt.Sprintf(`{"uri":%q}`, uri))
	}
	return all
}

// Attack: a client tries names to learn which exist. A name that exists and was not granted
// must get, byte by byte, the same answer as an unknown one. The reference is a server without
// the thing and a key with all rights, so that the text is the SDK's own; where the SDK has
// none (completion, subscriptions), it is the same key at the server without the thing.
func TestDeniedLooksUnknown(t *testing.T) {
	const hidden = "payroll"
	for _, version := range eras {
		with, without := furnished(t, "public", hidden), furnished(t, "public")
		narrow, narrowThere, all := with.Granted(publicOnly...), without.Granted(publicOnly...), without.Granted("*")
		for name, r := range uses(version, hidden) {
			t.Run(version+"/"+name, func(t *testing.T) {
				reference := all
				if strings.Contains(name, "complete") || strings.Contains(name, "subscribe") {
					reference = narrowThere
				}
				status, body := with.send(version, narrow, r)
				wantStatus, wantBody := without.send(version, reference, r)
				if status != wantStatus || body != wantBody {
					t.Errorf("denied:\n got %d %s\nwant %d %s", status, body, wantStatus, wantBody)
				}
				if !strings.Contains(body, `"error"`) {
					t.Errorf("denied: got %s, want an error", body)
				}
				if ran := with.ran(); len(ran) != 0 {
					t.Errorf("ran: got %v, want nothing", ran)
				}
			})
		}
		for name, r := range uses(version, "public") {
			if status, body := with.send(version, narrow, r); status != http.StatusOK || strings.Contains(body, `"error"`) {
				t.Errorf("%s of what was granted, era %s: got %d %s, want a result", name, version, status, body)
			}
		}
	}
}

// Attack: before any middleware the SDK compares Mcp-Param- headers with the schema of the tool
// in the body, and names the header in its error. A denied tool must not be distinguishable
// from an unknown one by that.
func TestParamHeadersTellNothingOfHiddenTools(t *testing.T) {
	schema := json.RawMessage(`{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}`)
	s, without := newSite(t, nil, "add"), newSite(t, nil, "add")
	s.server.AddTool(&mcp.Tool{Name: "secret", InputSchema: schema}, s.run)
	r := message(modern, "tools/call", "secret", `{"name":"secret","arguments":{"region":"north"}}`)

	status, body := s.send(modern, s.Granted("tools:add"), r)
	wantStatus, wantBody := without.send(modern, without.Granted("*"), r)
	if status != wantStatus || body != wantBody {
		t.Errorf("denied: got %d %s, want %d %s", status, body, wantStatus, wantBody)
	}
	if _, body := s.send(modern, s.Granted("tools:*"), r); !strings.Contains(body, "Mcp-Param-Region") {
		t.Errorf("granted: got %s, want the SDK's own check", body)
	}
}

// Attack A14: JSON parsers disagree about duplicate members and members in another case, so a
// guard that reads the body itself may see one tool while the SDK runs another. A key with only
// add never runs secret, however it is written.
func TestA14AmbiguousBodies(t *testing.T) {
	bodies := map[string]string{
		"upper-case name last":     `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"secret","NAME":"add","arguments":{}}}`,
		"upper-case name first":    `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"NAME":"add","name":"secret","arguments":{}}}`,
		"mixed-case method":        `{"jsonrpc":"2.0","id":7,"method":"tools/call","METHOD":"tools/list","params":{"name":"secret","arguments":{}}}`,
		"name twice":               `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add","name":"secret","arguments":{}}}`,
		"name twice, other order":  `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"secret","name":"add","arguments":{}}}`,
		"method twice":             `{"jsonrpc":"2.0","id":7,"method":"tools/list","method":"tools/call","params":{"name":"secret","arguments":{}}}`,
		"params twice":             `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add"},"params":{"name":"secret","arguments":{}}}`,
		"NUL behind":               `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"secret\u0000","arguments":{}}}`,
		"escaped":                  `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"\u0073ecret","arguments":{}}}`,
		"batch":                    `[{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add","arguments":{}}},{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"secret","arguments":{}}}]`,
		"without id":               `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"secret","arguments":{}}}`,
		"two values":               `{"jsonrpc":"2.0","id":7,"method":"ping"}{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"secret"}}`,
		"name in meta":             `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"_meta":{"name":"add"},"name":"secret","arguments":{}}}`,
		"wildcard as a name":       `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"*","arguments":{}}}`,
		"path to a name":           `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add/../secret","arguments":{}}}`,
		"scope separator in name":  `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add:secret","arguments":{}}}`,
		"subscription to a method": `{"jsonrpc":"2.0","id":7,"method":"tools/CALL","params":{"name":"secret","arguments":{}}}`,
	}
	s := newSite(t, nil, "add", "secret")
	token := s.Granted("tools:add")
	for name, body := range bodies {
		for _, version := range []string{"", "2025-03-26", "2025-06-18", legacy, modern} {
			for _, headers := range [][]string{nil, {"Mcp-Method: tools/call", "Mcp-Name: add"}, {"Mcp-Method: tools/call", "Mcp-Name: secret"}, {"Mcp-Method: tools/list"}} {
				session := ""
				if version < modern {
					session = s.open(token)
				}
				status, answer := s.post(request{token: token, session: session, version: version, headers: headers, body: body})
				for _, ran := range s.ran() {
					if ran.tool != "add" {
						t.Errorf("%s, version %q, headers %v: ran %q; answer %d %s", name, version, headers, ran.tool, status, answer)
					}
				}
			}
		}
	}
	// The version without sessions requires headers and body to match.
	r := callOf(modern, "secret")
	r.token, r.headers = token, []string{"Mcp-Method: tools/call", "Mcp-Name: add"}
	if status, body := s.post(r); status != http.StatusBadRequest || !strings.Contains(body, "-32020") {
		t.Errorf("Mcp-Name that differs: got %d %s, want 400 and -32020", status, body)
	}
}

// Methods that the server added itself have no scope and are refused.
func TestUnknownMethodsAreRefused(t *testing.T) {
	type params struct{ mcp.ParamsBase }
	type result struct{ mcp.ResultBase }
	for _, version := range eras {
		s := newSite(t, nil, "add")
		ran := false
		err := mcp.AddReceivingCustomMethod(s.server, "acme/export", func(context.Context, *mcp.ServerSession, *params) (*result, error) {
			ran = true
			return &result{}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		_, body := s.send(version, s.Granted("*"), message(version, "acme/export", "", `{}`))
		if ran || !strings.Contains(body, "-32601") {
			t.Errorf("acme/export in era %s: got %s, want method not found and nothing run", version, body)
		}
	}
}

// A guarded server that is also connected in another way, such as stdio, refuses everything
// there, because no caller was authenticated.
func TestOtherTransportsAreDenied(t *testing.T) {
	s := newSite(t, nil, "add")
	there, here := mcp.NewInMemoryTransports()
	if _, err := s.server.Connect(t.Context(), there, nil); err != nil {
		t.Fatal(err)
	}
	_, err := mcp.NewClient(&mcp.Implementation{Name: "client"}, nil).Connect(t.Context(), here, nil)
	if err == nil || !strings.Contains(err.Error(), "authentication required") {
		t.Errorf("Connect without HTTP: got %v, want authentication required", err)
	}
}

// Two handlers on one server: the checks run twice, with the same result.
func TestHandlerTwice(t *testing.T) {
	s := newSite(t, &mcp.ServerOptions{PageSize: 2}, "a", "b", "c", "d", "e", "secret")
	mcpauth.Handler(s.Guard(nil), s.server, nil)
	for _, version := range eras {
		session := s.mustConnect(version, s.Granted("tools:a", "tools:b", "tools:c", "tools:d", "tools:e"))
		if got := toolNames(t, session); got != "a,b|c,d|e" {
			t.Errorf("pages: got %s, want a,b|c,d|e", got)
		}
		if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "secret"}); err == nil {
			t.Error("CallTool(secret): got no error, want unknown tool")
		}
	}
}

// A denied call is answered within the protocol, with 200 in the older versions: only the log
// tells the operator. A key in place of a name is not logged.
func TestDeniedIsLogged(t *testing.T) {
	for _, version := range eras {
		s := newSite(t, nil, "add", "secret")
		token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:add"}})
		s.send(version, token, callOf(version, "add"))
		if got := s.log.String(); got != "" {
			t.Errorf("log after a granted call: got %s, want nothing", got)
		}
		s.send(version, token, callOf(version, "secret"))
		for _, want := range []string{`"code":"insufficient_scope"`, `"key_id":"` + id + `"`, `"method":"tools/call"`, `"scope":"tools:secret"`} {
			if got := s.log.String(); !strings.Contains(got, want) || strings.Count(got, "\n") != 1 {
				t.Errorf("log in era %s: got %s, want one line with %s", version, got, want)
			}
		}
		s.send(version, token, callOf(version, token))
		s.send(version, token, callOf(version, strings.Repeat("x", 10_000)))
		if got := s.log.String(); keys.HoldsToken(got) || len(got) > 2000 || !strings.Contains(got, "xxx...") {
			t.Errorf("log in era %s: got %d bytes: %s, want no key and short lines", version, len(got), got)
		}
	}
}
