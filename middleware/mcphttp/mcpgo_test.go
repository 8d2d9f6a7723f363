package mcphttp_test

import (
	"context"
	"strings"
	"testing"

	gomcp "github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/admin"
)

// A server made with mcp-go, with sessions and without: it has no binding of its own.
func TestMCPGo(t *testing.T) {
	for name, o := range map[string]server.StreamableHTTPOption{"sessions": server.WithStateful(true), "stateless": server.WithStateLess(true)} {
		srv := server.NewMCPServer("box", "1", server.WithToolCapabilities(true))
		for _, tool := range []string{"add", "payroll"} {
			srv.AddTool(gomcp.NewTool(tool), func(_ context.Context, r gomcp.CallToolRequest) (*gomcp.CallToolResult, error) {
				return gomcp.NewToolResultText("ran " + r.Params.Name), nil
			})
		}
		s := newSite(t, server.NewStreamableHTTPServer(srv, o), nil)
		token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:add"}})
		session := s.mustConnect(legacy, token, nil)
		list, err := session.ListTools(t.Context(), nil)
		if err != nil || len(list.Tools) != 1 || list.Tools[0].Name != "add" {
			t.Errorf("%s: list: got %+v, %v\n%s", name, list, err, s.log.String())
		}
		res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "add", Arguments: map[string]any{}})
		if err != nil || res.Content[0].(*mcp.TextContent).Text != "ran add" {
			t.Errorf("%s: call: got %+v, %v\n%s", name, res, err, s.log.String())
		}
		if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "payroll"}); err == nil || !strings.Contains(err.Error(), "unknown tool") {
			t.Errorf("%s: denied call: got %v", name, err)
		}
		if opened := session.ID(); name == "sessions" {
			other := s.Granted("tools:add")
			if status, _ := s.post(request{token: other, session: opened, version: legacy, body: callOf(legacy, "add").body}); status != 403 {
				t.Errorf("another key in the session: got %d, want 403", status)
			}
		}
		s.Revoke(id)
		if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "add"}); err == nil {
			t.Errorf("%s: a call after the revoke: got no error", name)
		}
	}
}
