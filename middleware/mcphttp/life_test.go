package mcphttp_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/middleware/mcphttp"
)

// An endpoint that ends tells its running calls why, ends streams and sessions, and refuses what
// comes later.
func TestEnd(t *testing.T) {
	for _, version := range eras {
		k := guardtest.NewKeyring(t)
		running := make(chan struct{}, 1)
		server, ended := slowbox(func() { running <- struct{}{} }, nil)
		s := &site{Keyring: k, t: t}
		endpoint := mcphttp.Handler(k.Guard(nil), s.record(sdk(server, mcp.StreamableHTTPOptions{PropagateRequestCancellation: true})), nil)
		s.serve(endpoint)
		token := s.Granted("tools:*")
		r := callOf(version, "slow")
		r.token = token
		var stream *http.Response
		if version == legacy {
			r.session = s.open(token)
			stream = s.stream(request{verb: http.MethodGet, token: token, session: r.session, version: version})
		}
		answer := make(chan string, 1)
		go func() {
			_, body := s.post(r)
			answer <- body
		}()
		<-running
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		endpoint.End(ctx, "the weather changed", true)
		if err := ctx.Err(); err != nil {
			t.Errorf("%s: End waits: %v", version, err)
		}
		if got := idsIn(t, <-answer)["7"]; !strings.Contains(got, "The call was ended before it was finished: the weather changed. Try again in 1 second.") || !strings.Contains(got, `"code":"server_ended"`) {
			t.Errorf("%s: the running call: got %s", version, got)
		}
		<-ended
		if stream != nil {
			if _, err := io.Copy(io.Discard, stream.Body); err != nil {
				t.Errorf("%s: the stream of the session: %v, want its end", version, err)
			}
		}
		if saw := s.reached(); version == legacy && !deleted(saw, r.session) {
			t.Errorf("%s: the server was not told that the session ended", version)
		}
		r.session = ""
		for what, later := range map[string]request{"a call": r, "a list": message(version, "tools/list", "", "{}")} {
			later.token = token
			if status, body := s.post(later); status != http.StatusServiceUnavailable && !strings.Contains(body, "-31503") || !strings.Contains(body, "the weather changed") {
				t.Errorf("%s: %s after the end: got %d %s", version, what, status, body)
			}
		}
		if saw := s.reached(); len(saw) != 0 {
			t.Errorf("%s: after the end the server got %v", version, saw)
		}
	}
}

// deleted reports whether the server was asked to end the session.
func deleted(saw []seen, session string) bool {
	for _, r := range saw {
		if r.method == http.MethodDelete && r.header.Get("Mcp-Session-Id") == session {
			return true
		}
	}
	return false
}
