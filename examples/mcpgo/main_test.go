package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
)

type withKey string

func (k withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(k))
	return http.DefaultTransport.RoundTrip(r)
}

func TestHandler(t *testing.T) {
	k := guardtest.NewKeyring(t)
	srv := httptest.NewServer(handler(k.Guard(nil)))
	t.Cleanup(srv.Close)
	token, _ := k.Issue(admin.IssueRequest{Name: "ci", Scopes: []string{"tools:hello"}})
	client, err := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: srv.URL + "/mcp", MaxRetries: -1, HTTPClient: &http.Client{Transport: withKey(token)},
	}, &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	list, err := client.ListTools(t.Context(), nil)
	if err != nil || len(list.Tools) != 1 || list.Tools[0].Name != "hello" {
		t.Errorf("list: got %v, %v, want hello alone", list, err)
	}
	res, err := client.CallTool(t.Context(), &mcp.CallToolParams{Name: "hello", Arguments: map[string]any{}})
	if err != nil || res.Content[0].(*mcp.TextContent).Text != "Hello, ci." {
		t.Errorf("hello: got %v, %v", res, err)
	}
	if _, err := client.CallTool(t.Context(), &mcp.CallToolParams{Name: "time"}); err == nil || !strings.Contains(err.Error(), "unknown tool") {
		t.Errorf("time: got %v, want an unknown tool", err)
	}
}
