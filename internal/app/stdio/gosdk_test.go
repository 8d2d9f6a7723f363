//go:build linux

package stdio_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type noArgs struct{}

// goSDKRole is a server of the Go SDK.
func goSDKRole() {
	s := mcp.NewServer(&mcp.Implementation{Name: "real", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "hello"}, func(ctx context.Context, req *mcp.CallToolRequest, _ noArgs) (*mcp.CallToolResult, any, error) {
		if token := req.Params.GetProgressToken(); token != nil {
			_ = req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: token, Progress: 1})
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello"}}}, nil, nil
	})
	mcp.AddTool(s, &mcp.Tool{Name: "wait"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ noArgs) (*mcp.CallToolResult, any, error) {
		_ = os.WriteFile(os.Getenv("STDIO_TEST_CANCELLED")+".open", nil, 0o600)
		<-ctx.Done()
		_ = os.WriteFile(os.Getenv("STDIO_TEST_CANCELLED"), []byte("cancelled"), 0o600)
		return nil, nil, ctx.Err()
	})
	mcp.AddTool(s, &mcp.Tool{Name: "grow"}, func(context.Context, *mcp.CallToolRequest, noArgs) (*mcp.CallToolResult, any, error) {
		s.AddTool(&mcp.Tool{Name: "later", InputSchema: map[string]any{"type": "object"}}, nil)
		return &mcp.CallToolResult{}, nil, nil
	})
	_ = s.Run(context.Background(), &mcp.StdioTransport{})
}

// bearer sends a key with each request.
type bearer struct{ secret string }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.secret)
	return http.DefaultTransport.RoundTrip(r)
}

func (c *client) connect(version string, o *mcp.ClientOptions) *mcp.ClientSession {
	c.t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, o)
	transport := &mcp.StreamableClientTransport{Endpoint: c.url, HTTPClient: &http.Client{Transport: bearer{c.secret}}}
	cs, err := client.Connect(c.t.Context(), transport, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		c.t.Fatalf("Connect: %v\n%s", err, c.log)
	}
	c.t.Cleanup(func() { _ = cs.Close() })
	return cs
}

// A client and a server of the Go SDK understand each other in both eras, and a client that
// asks for the newer one falls back if the server knows only the older one.
func TestGoSDKInBothEras(t *testing.T) {
	for _, tc := range []struct{ role, asks, gets string }{
		{"gosdk", "2025-11-25", "2025-11-25"},
		{"gosdk", "2026-07-28", "2026-07-28"},
		{"server", "2026-07-28", "2025-11-25"},
		{"probed", "2026-07-28", "2025-11-25"},
	} {
		t.Run(tc.role+" "+tc.asks, func(t *testing.T) {
			progress := make(chan string, 10)
			cs := newRig(t, tc.role).client().connect(tc.asks, &mcp.ClientOptions{
				ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
					progress <- r.Params.ProgressToken.(string)
				},
			})
			if got := cs.InitializeResult().ProtocolVersion; got != tc.gets {
				t.Fatalf("protocol version: got %s, want %s", got, tc.gets)
			}
			if tc.role != "gosdk" {
				return
			}
			tools, err := cs.ListTools(t.Context(), nil)
			if err != nil || len(tools.Tools) != 3 {
				t.Fatalf("ListTools: %v, %v", tools, err)
			}
			params := &mcp.CallToolParams{Name: "hello"}
			params.SetProgressToken("mine")
			res, err := cs.CallTool(t.Context(), params)
			if err != nil || res.Content[0].(*mcp.TextContent).Text != "hello" {
				t.Fatalf("CallTool: %v, %v", res, err)
			}
			if got := next(t, progress); got != "mine" {
				t.Errorf("progress token: got %q, want %q", got, "mine")
			}
		})
	}
}

// A client that gives up a call reaches the server with it.
func TestGoSDKCancels(t *testing.T) {
	for _, version := range []string{"2025-11-25", "2026-07-28"} {
		t.Run(version, func(t *testing.T) {
			r, note := rigWithNote(t, "gosdk")
			cs := r.client().connect(version, nil)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := cs.CallTool(ctx, &mcp.CallToolParams{Name: "wait"})
				done <- err
			}()
			eventually(t, "the tool runs", func() bool { return exists(note + ".open") })
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("CallTool: got %v, want canceled", err)
			}
			eventually(t, "the server knows", func() bool { return exists(note) })
		})
	}
}

// A change of the tools reaches clients in both eras.
func TestGoSDKListChanged(t *testing.T) {
	for _, version := range []string{"2025-11-25", "2026-07-28"} {
		t.Run(version, func(t *testing.T) {
			changed := make(chan string, 10)
			cs := newRig(t, "gosdk").client().connect(version, &mcp.ClientOptions{
				ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { changed <- "changed" },
			})
			if _, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "grow"}); err != nil {
				t.Fatal(err)
			}
			next(t, changed)
		})
	}
}
