package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
	"github.com/mcpkeys/mcpkeys/middleware/mcphttp"
)

// toolCalls are calls of one tool with and without a guard, without a network: of a server made with the
// Go SDK, and of a handler that gives a prepared answer.
func (s *Stage) toolCalls(ctx context.Context) []Case {
	server := forecasts()
	bare := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true})
	prepared := http.HandlerFunc(answerCall)
	return []Case{
		{Name: "GuardMCPAuth", Floor: "PlainGoSDK", Run: s.callTool(ctx, mcpauth.Handler(s.guard(), forecasts(), nil))},
		{Name: "PlainGoSDK", Run: s.callTool(ctx, bare)},
		{Name: "GuardMCPHTTP", Floor: "PlainMCPHTTP", Run: s.callTool(ctx, mcphttp.Handler(s.guard(), prepared, nil))},
		{Name: "PlainMCPHTTP", Run: s.callTool(ctx, prepared)},
	}
}

// forecasts is a server with one tool.
func forecasts() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "weather"}, nil)
	result := &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: forecast}}}
	server.AddTool(&mcp.Tool{Name: tool, InputSchema: json.RawMessage(`{"type":"object"}`)},
		func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) { return result, nil })
	return server
}

// callTool calls the tool through h. As in a server, each request has a context of its own that ends
// with it.
func (s *Stage) callTool(ctx context.Context, h http.Handler) func(int) error {
	body := []byte(callBody())
	return func(n int) error {
		w := &called{blank: blank{header: http.Header{}}}
		for i := range n {
			if err := s.callOnce(ctx, h, w, body, s.tokens[i%few]); err != nil {
				return err
			}
		}
		return nil
	}
}

func (s *Stage) callOnce(ctx context.Context, h http.Handler, w *called, body []byte, token string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/mcp", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Host, r.RemoteAddr = "localhost:8421", "127.0.0.1:40000"
	r.Header = http.Header{
		"Authorization": {"Bearer " + token}, "User-Agent": {"bench/1"},
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		"Mcp-Protocol-Version": {callVersion}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {tool},
	}
	clear(w.header)
	w.status, w.told = 0, false
	h.ServeHTTP(w, r)
	if w.status != http.StatusOK || !w.told {
		return errWrong
	}
	return nil
}

// called is an answer of which only is noted whether it has the forecast. It can do what a writer of
// net/http can.
type called struct {
	blank
	told bool
}

func (c *called) Write(p []byte) (int, error) {
	c.told = c.told || strings.Contains(string(p), forecast)
	return c.blank.Write(p)
}

func (*called) FlushError() error                { return nil }
func (*called) SetReadDeadline(time.Time) error  { return nil }
func (*called) SetWriteDeadline(time.Time) error { return nil }
