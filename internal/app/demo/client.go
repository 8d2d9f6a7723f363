package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
)

// client is an MCP client of the go-sdk, with a key in a header.
type client struct {
	session *mcp.ClientSession
	sender  *sender
}

// sender adds the key to each request, and keeps the HTTP status of the last POST. The
// background stream of the client is a GET and does not count. The key may be changed while
// calls are running.
type sender struct {
	key    atomic.Pointer[keys.Secret]
	status atomic.Int64
}

func (s *sender) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+s.key.Load().Reveal())
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && r.Method == http.MethodPost {
		s.status.Store(int64(resp.StatusCode))
	}
	return resp, err
}

// protocol is the newest version with sessions, which most clients use. A revocation while a
// session is open is the harder case.
const protocol = "2025-11-25"

// connect opens a session.
func connect(ctx context.Context, url string, key keys.Secret) (*client, error) {
	s := &sender{}
	s.key.Store(&key)
	transport := &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: s}}
	c := mcp.NewClient(&mcp.Implementation{Name: "mcpkeys-demo", Version: "1"}, nil)
	session, err := c.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: protocol})
	if err != nil {
		return nil, fmt.Errorf("connect with the key: %w", err)
	}
	if session.ID() == "" {
		return nil, errors.Join(errors.New("the server opened no session"), session.Close())
	}
	return &client{session, s}, nil
}

// tools lists the names of the tools that the server shows, sorted.
func (c *client) tools(ctx context.Context) ([]string, error) {
	var names []string
	for tool, err := range c.session.Tools(ctx, nil) {
		if err != nil {
			return nil, fmt.Errorf("list the tools: %w", err)
		}
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	return names, nil
}

// call calls a tool and returns the text that it answered.
func (c *client) call(ctx context.Context, tool string, args map[string]any) (string, error) {
	result, err := c.session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, content := range result.Content {
		if t, ok := content.(*mcp.TextContent); ok {
			text.WriteString(t.Text)
		}
	}
	if result.IsError {
		return "", errors.New(text.String())
	}
	return text.String(), nil
}

// close ends the session. The server may refuse that, because the key is revoked by then.
func (c *client) close() {
	if c != nil {
		_ = c.session.Close()
	}
}

// knock sends initialize to the server with a key, or without one if key is zero.
func knock(ctx context.Context, url string, key keys.Secret) (status int, challenge string, err error) {
	const body = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"mcpkeys-demo","version":"1"}}}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if !key.IsZero() {
		r.Header.Set("Authorization", "Bearer "+key.Reveal())
	}
	c := &http.Client{Timeout: 10 * time.Second}
	resp, err := c.Do(r)
	if err != nil {
		return 0, "", fmt.Errorf("call the server: %w", err)
	}
	return resp.StatusCode, resp.Header.Get("WWW-Authenticate"), resp.Body.Close()
}
