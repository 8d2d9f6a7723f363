package mcpauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
)

// BenchmarkCall is one short tools/call without a network: the SDK and a tool that returns at
// once, without a guard and behind one.
func BenchmarkCall(b *testing.B) {
	for _, version := range eras {
		plain, guarded := pair(b, version)
		guardtest.BenchmarkBeside(b, version, plain, guarded)
	}
}

// pair makes two servers that differ in their guard. The functions send the same tools/call.
func pair(t testing.TB, version string) (plain, guarded func()) {
	k := guardtest.NewKeyring(t)
	token := k.Granted("tools:add")
	server := quick()
	bare := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{
		Stateless: version >= modern, DisableLocalhostProtection: true,
	})
	return sender(t, bare, version, token), sender(t, mcpauth.Handler(k.Guard(nil), quick(), nil), version, token)
}

// quick is a server with one tool that does nothing.
func quick() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "quick"}, nil)
	ran := &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "ran add"}}}
	server.AddTool(&mcp.Tool{Name: "add", InputSchema: json.RawMessage(`{"type":"object"}`)},
		func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) { return ran, nil })
	return server
}

// sender returns a function that sends one tools/call to h, in a session if the version has them.
func sender(t testing.TB, h http.Handler, version, token string) func() {
	t.Helper()
	p := &guardtest.InProcess{Handler: h, Header: http.Header{
		"Authorization": {"Bearer " + token}, "User-Agent": {"bench/1"},
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
	}}
	if version >= modern {
		p.Header.Set("Mcp-Method", "tools/call")
		p.Header.Set("Mcp-Name", "add")
	} else {
		_, header, _ := p.Post([]byte(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + version + `","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`))
		p.Header.Set("Mcp-Session-Id", header.Get("Mcp-Session-Id"))
		p.Post([]byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`))
	}
	p.Header.Set("Mcp-Protocol-Version", version)
	body, want := []byte(callOf(version, "add").body), []byte("ran add")
	return func() {
		if status, _, answer := p.Post(body); !bytes.Contains(answer, want) {
			t.Fatalf("call: got %d %s", status, answer)
		}
	}
}
