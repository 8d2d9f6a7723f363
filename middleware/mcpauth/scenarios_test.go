package mcpauth_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
)

func TestScenarios(t *testing.T) {
	for _, version := range eras {
		t.Run(version, func(t *testing.T) {
			guardtest.Run(t, guardtest.Adapter{Mount: mountProbe, InBand: true, Request: func(url string) *http.Request {
				call := callOf(version, "probe")
				r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(call.body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Accept", "application/json, text/event-stream")
				r.Header.Set("Mcp-Protocol-Version", version)
				r.Header.Set("Mcp-Method", "tools/call")
				r.Header.Set("Mcp-Name", "probe")
				return r
			}})
		})
	}
}

// mountProbe serves one tool. Without session ids the SDK opens a session for each legacy
// request, so that one request is a complete scenario.
func mountProbe(guard *middleware.Guard, reached func(context.Context, http.Header)) http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "probe"}, &mcp.ServerOptions{GetSessionID: func() string { return "" }})
	server.AddTool(&mcp.Tool{Name: "probe", InputSchema: json.RawMessage(`{"type":"object"}`)},
		func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			reached(ctx, req.Extra.Header)
			return &mcp.CallToolResult{}, nil
		})
	return mcpauth.Handler(guard, server, nil)
}
