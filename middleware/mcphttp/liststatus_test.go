package mcphttp_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// A list that the server refuses is answered like a call that it refuses: with its status and its
// words, if both may pass.
func TestRefusedListsAreAnsweredLikeCalls(t *testing.T) {
	s := newSite(t, nil, nil)
	token := s.Granted("tools:add")
	for _, status := range []int{200, 302, 400, 401, 404, 405, 429, 500} {
		for _, kind := range []string{"application/json", "text/plain", "text/event-stream", ""} {
			if kind == "text/event-stream" && status < 300 {
				continue // the error of a call comes as an event then
			}
			s.turnTo(refuses(status, kind))
			for _, version := range []string{modern, legacy, "session"} {
				in := func(r request) request {
					r.token = token
					if version == "session" {
						resp, _ := s.do(request{token: token, body: initialize})
						r.version, r.session = legacy, resp.Header.Get("Mcp-Session-Id")
					}
					return r
				}
				era := strings.Replace(version, "session", legacy, 1)
				call, want := s.do(in(callOf(era, "add")))
				for _, l := range mcppolicy.Lists {
					r := in(message(era, l.Method, "", "{}"))
					list, got := s.do(r)
					if list.StatusCode != call.StatusCode || withoutID(got) != withoutID(want) {
						t.Errorf("%d %q, %s, %s: got %d %s, want %d %s as for a call", status, kind, version, l.Method, list.StatusCode, got, call.StatusCode, want)
					}
					for _, name := range []string{"Retry-After", "Allow", "Content-Type", "Www-Authenticate"} {
						if list.Header.Get(name) != call.Header.Get(name) {
							t.Errorf("%d %q, %s, %s: %s: got %q, want %q", status, kind, version, l.Method, name, list.Header.Get(name), call.Header.Get(name))
						}
					}
					if again, _ := s.do(r); version == "session" && again.StatusCode != list.StatusCode {
						t.Errorf("%d %q, %s: a second time: got %d, want %d", status, kind, l.Method, again.StatusCode, list.StatusCode)
					}
				}
			}
		}
	}
}

// refuses answers all but initialize with a status and an error.
func refuses(status int, kind string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			ID     json.RawMessage
			Method string
		}
		body := readAll(r)
		_ = json.Unmarshal([]byte(body), &m)
		if m.Method == "initialize" {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Mcp-Session-Id", rand.Text())
			_, _ = w.Write([]byte(answersTo(body)))
			return
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Retry-After", "7")
		w.Header().Set("Allow", "POST")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"its own words"}}`, m.ID)
	})
}

// withoutID leaves out what differs from request to request.
func withoutID(body string) string {
	at := strings.Index(body, `"request_id":"`)
	if at < 0 {
		return body
	}
	return body[:at] + body[at+14+36:]
}
