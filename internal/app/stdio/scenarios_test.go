//go:build linux

package stdio_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/app/stdio"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcphttp"
)

// The scenarios that all adapters pass, with a program on standard input and output behind the
// guard. In the protocol without sessions, one request is a complete scenario.
func TestScenarios(t *testing.T) {
	body := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"probe","arguments":"","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	guardtest.Run(t, guardtest.Adapter{
		InBand: true,
		Mount: func(guard *middleware.Guard, reached func(context.Context, http.Header)) http.Handler {
			o := stdio.Options{Command: []string{binary}, Dir: "/", Env: []string{roleVar + "=modern"}}
			asUser(&o)
			b, err := stdio.New(o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := b.Close(context.Background(), "the test ends"); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			return mcphttp.Handler(guard, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				reached(r.Context(), r.Header)
				b.ServeHTTP(w, r)
			}), nil)
		},
		Request: func(url string) *http.Request {
			r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string]string{
				"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
				"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "probe",
			} {
				r.Header.Set(name, value)
			}
			return r
		},
	})
}
