package mcphttp_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcphttp"
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

// mountProbe serves one tool. The server has no sessions, so that one request is a complete
// scenario.
func mountProbe(guard *middleware.Guard, reached func(context.Context, http.Header)) http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "probe"}, nil)
	server.AddTool(&mcp.Tool{Name: "probe", InputSchema: json.RawMessage(`{"type":"object"}`)},
		func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			reached(ctx, req.Extra.Header)
			return &mcp.CallToolResult{}, nil
		})
	return mcphttp.Handler(guard, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true}), nil)
}

// A key lists and calls what it was granted, with a real client and a real server.
func TestRealClientAndServer(t *testing.T) {
	for _, version := range eras {
		for _, inJSON := range []bool{false, true} {
			s := newSite(t, sdk(toolbox(&mcp.ServerOptions{PageSize: 2}, "add", "get_a", "get_b", "payroll", "x1", "x2"), mcp.StreamableHTTPOptions{JSONResponse: inJSON}), nil)
			session := s.mustConnect(version, s.Granted("tools:get_*", "tools:add"), nil)
			list, err := session.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatalf("%s: list: %v\n%s", version, err, s.log.String())
			}
			var names []string
			for _, tool := range list.Tools {
				names = append(names, tool.Name)
			}
			if got := strings.Join(names, " "); got != "add get_a get_b" || list.NextCursor != "" {
				t.Errorf("%s: list: got %q and cursor %q, want what was granted", version, got, list.NextCursor)
			}
			res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_a"})
			if err != nil || res.Content[0].(*mcp.TextContent).Text != "ran get_a" {
				t.Errorf("%s: call: got %v, %v\n%s", version, res, err, s.log.String())
			}
			s.reached()
			for _, hidden := range []string{"payroll", "nothing"} {
				_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: hidden})
				if err == nil || !strings.Contains(err.Error(), `unknown tool "`+hidden+`"`) {
					t.Errorf("%s: call of %s: got %v, want an unknown tool", version, hidden, err)
				}
			}
			for _, r := range s.reached() {
				if strings.Contains(r.body, "tools/call") {
					t.Errorf("%s: a denied call reached the server: %s", version, r.body)
				}
			}
		}
	}
}
