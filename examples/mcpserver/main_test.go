package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
)

// start serves the example with k's keys, and returns its address.
func start(t *testing.T, k *guardtest.Keyring) string {
	t.Helper()
	listener, err := listen(t.Context(), "127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, listener, handler(k.Guard(nil))) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return listener.Addr().String()
}

func TestServes(t *testing.T) {
	k := guardtest.NewKeyring(t)
	token, _ := k.Issue(admin.IssueRequest{Name: "ci", Scopes: []string{"tools:get_*", "tools:whoami"}})
	addr := start(t, k)
	client := mcp.NewClient(&mcp.Implementation{Name: "client"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: "http://" + addr + "/mcp", HTTPClient: &http.Client{Transport: withKey(token)},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	list, err := session.ListTools(t.Context(), nil)
	if err != nil || len(list.Tools) != 4 {
		t.Errorf("ListTools: got %v, %v, want the four granted tools", list, err)
	}
	res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"})
	if err != nil || !strings.Contains(res.Content[0].(*mcp.TextContent).Text, `"name":"ci"`) {
		t.Errorf("whoami: got %v, %v, want ci", res, err)
	}
}

type withKey string

func (k withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-API-Key", string(k))
	return http.DefaultTransport.RoundTrip(r)
}

// Plain HTTP on another address than loopback needs --insecure-http, because the network could
// read keys.
func TestRefusesToListenBeyondLoopback(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		if l, err := listen(t.Context(), addr, false); err == nil {
			_ = l.Close()
			t.Errorf("listen(%s): got no error, want one that names --insecure-http", addr)
		} else if op := new(net.OpError); !errors.As(err, &op) && !strings.Contains(err.Error(), "--insecure-http") {
			t.Errorf("listen(%s): got %v, want one that names --insecure-http", addr, err)
		}
	}
	l, err := listen(t.Context(), "0.0.0.0:0", true)
	if err != nil {
		t.Fatalf("listen with --insecure-http: %v", err)
	}
	_ = l.Close()
}

// A15: the same path in another spelling, with another method, or with an upgrade that would
// leave the guard. Without a key no request succeeds, and no other protocol begins.
func TestA15PathsMethodsAndUpgrades(t *testing.T) {
	addr := start(t, guardtest.NewKeyring(t))
	paths := []string{
		"/mcp", "/mcp/", "//mcp", "/./mcp", "/x/../mcp", "/mcp/../mcp", "/%6dcp", "/mcp%2f", "/mcp%2f..%2fmcp", "/mcp;a=b", "/mcp?key=x", "/mcp%00",
		"/MCP", "/", "/.well-known/../mcp", "/.well-known/x/../../mcp", "/.well-known%2f..%2fmcp", "/register", "/register/../mcp",
		"http://evil.example/mcp", "http://127.0.0.1/mcp", "*", "mcp", "",
	}
	for _, method := range []string{"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "CONNECT", "PRI", "get", "X"} {
		for _, path := range paths {
			for name, headers := range map[string]string{
				"plain":     "",
				"h2c":       "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
				"websocket": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
				"hop":       "Connection: close, Authorization, X-API-Key\r\n",
			} {
				status := guardtest.Raw(t, addr, method+" "+path+" HTTP/1.1\r\nHost: 127.0.0.1\r\n"+headers+"Content-Length: 0\r\n\r\n")
				if strings.HasPrefix(status, "1") || strings.HasPrefix(status, "2") || strings.HasPrefix(status, "5") {
					t.Errorf("%s %s, %s: got %s, want a refusal", method, path, name, status)
				}
			}
		}
	}
	preface := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	if status := guardtest.Raw(t, addr, preface); strings.HasPrefix(status, "2") {
		t.Errorf("HTTP/2 without TLS: got %s, want none", status)
	}
}
