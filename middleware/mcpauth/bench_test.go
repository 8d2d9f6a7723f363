package mcpauth_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkCall is one short tools/call without a network: the guard, the SDK and a tool that
// returns at once.
func BenchmarkCall(b *testing.B) {
	for _, version := range eras {
		b.Run(version, func(b *testing.B) {
			s := newSite(b, nil, "add")
			token := s.Granted("tools:add")
			call := callOf(version, "add")
			header := http.Header{
				"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
				"Mcp-Protocol-Version": {version},
			}
			if version < modern {
				header.Set("Mcp-Session-Id", s.open(token))
			} else {
				header.Set("Mcp-Method", "tools/call")
				header.Set("Mcp-Name", "add")
			}
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(call.body))
				r.Header = header.Clone()
				r.Header.Set("Authorization", "Bearer "+token)
				w := httptest.NewRecorder()
				s.handler.ServeHTTP(w, r)
				if body, _ := io.ReadAll(w.Body); !strings.Contains(string(body), "ran add") {
					b.Fatalf("call: got %d %s", w.Code, body)
				}
				s.ran()
			}
		})
	}
}
