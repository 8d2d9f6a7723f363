package mcpauth_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
)

// TestA22IdleSessionsKeepNoBodies. The attack: a caller opens many sessions, sends a batch of
// megabytes in each, which the SDK refuses before it reads it, and sends nothing more. What was read
// of the batches stays in memory for as long as the sessions.
func TestA22IdleSessionsKeepNoBodies(t *testing.T) {
	const sessions, size = 32, 2 << 20
	s := newSite(t, nil, "add")
	token := s.Granted("tools:*")
	batch := `[{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + strings.Repeat("x", size) + `"}}]`
	before := heap()
	for range sessions {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/mcp", strings.NewReader(batch))
		for name, value := range map[string]string{
			"Authorization": "Bearer " + token, "Content-Type": "application/json", "Accept": "text/plain",
			"Mcp-Protocol-Version": legacy, "Mcp-Session-Id": s.open(token),
		} {
			r.Header.Set(name, value)
		}
		if got := guardtest.StatusOf(s.handler, r); got != http.StatusBadRequest && got != http.StatusNotAcceptable {
			t.Fatalf("a request that accepts no answer: got %d, want 400 or 406", got)
		}
	}
	if grown := heap() - before; grown > sessions*size/4 {
		t.Errorf("%d idle sessions, each after a refused batch of %d bytes: the heap grew by %d bytes", sessions, size, grown)
	}
	runtime.KeepAlive(s)
}

// TestA22IdleSessionsKeepNoAnswers. The attack: a caller opens many sessions, has a tool answer with
// megabytes in each, and sends nothing more.
func TestA22IdleSessionsKeepNoAnswers(t *testing.T) {
	const sessions, size = 32, 2 << 20
	s := newSite(t, nil)
	s.server.AddTool(&mcp.Tool{Name: "large", InputSchema: json.RawMessage(`{"type":"object"}`)},
		func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: strings.Repeat("x", size)}}}, nil
		})
	token := s.Granted("tools:*")
	before := heap()
	for range sessions {
		if status, body := s.send(legacy, token, callOf(legacy, "large")); status != http.StatusOK || len(body) < size {
			t.Fatalf("a call: got %d and %d bytes, want the large answer", status, len(body))
		}
	}
	if grown := heap() - before; grown > sessions*size/4 {
		t.Errorf("%d idle sessions, each after an answer of %d bytes: the heap grew by %d bytes", sessions, size, grown)
	}
	runtime.KeepAlive(s)
}

// heap is how many bytes are reachable.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // frees what finalizers kept
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
