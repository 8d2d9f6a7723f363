package mcphttp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware/mcphttp"
)

// counted is a server that opens numbered sessions, and notes which are deleted.
type counted struct {
	opened  atomic.Int64
	mu      sync.Mutex
	deleted []string
}

func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := readAll(r)
	switch {
	case r.Method == http.MethodDelete:
		c.mu.Lock()
		c.deleted = append(c.deleted, r.Header.Get("Mcp-Session-Id"))
		c.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case !strings.Contains(body, `"id"`):
		w.WriteHeader(http.StatusAccepted)
	default:
		if strings.Contains(body, `"initialize"`) {
			w.Header().Set("Mcp-Session-Id", fmt.Sprintf("s%d", c.opened.Add(1)))
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(answersTo(body)))
	}
}

func (c *counted) gone(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.deleted {
		if d == id {
			return true
		}
	}
	return false
}

func TestSessionsBelongToTheirKey(t *testing.T) {
	next := &counted{}
	s := newSite(t, next, nil)
	token, other := s.Granted("tools:add"), s.Granted("tools:add")
	id := s.open(token)
	for _, verb := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		for name, c := range map[string]struct {
			token, session string
			want           int
		}{"another key": {other, id, 403}, "an unknown session": {token, "s99", 404}, "two sessions": {token, id, 404}} {
			r := request{verb: verb, token: c.token, session: c.session, version: legacy, body: callOf(legacy, "add").body}
			if name == "two sessions" {
				r.headers = []string{"Mcp-Session-Id: s99"}
			}
			if verb != http.MethodPost {
				r.body = ""
			}
			if status := s.stream(r).StatusCode; status != c.want || len(s.reached()) != 0 { // a stream would not end
				t.Errorf("%s with %s: got %d, want %d", verb, name, status, c.want)
			}
		}
	}
	r := callOf(legacy, "add")
	r.token, r.session = token, id
	if status, _ := s.post(r); status != http.StatusOK {
		t.Errorf("own session: got %d", status)
	}
	if status, _ := s.post(request{verb: http.MethodDelete, token: token, session: id}); status != http.StatusNoContent || !next.gone(id) {
		t.Errorf("DELETE: got %d", status)
	}
	if status, _ := s.post(r); status != http.StatusNotFound {
		t.Errorf("after DELETE: got %d, want 404", status)
	}
}

// A server that gives two clients one session must not let one use the other's.
func TestSessionIDIsUsedOnce(t *testing.T) {
	s := newSite(t, echo(), nil)
	if status, answer := s.post(request{token: s.Granted("tools:a"), body: initialize}); status != http.StatusOK {
		t.Fatalf("first: got %d %s", status, answer)
	}
	resp, answer := s.do(request{token: s.Granted("tools:a"), body: initialize})
	if resp.StatusCode != http.StatusBadGateway || resp.Header.Get("Mcp-Session-Id") != "" || strings.Contains(answer, "result") {
		t.Errorf("second: got %d %s, want 502", resp.StatusCode, answer)
	}
	for _, id := range []string{"with space", "\u00e9", strings.Repeat("x", 300)} {
		resp, _ := s.do(request{token: s.Granted("tools:a"), body: initialize, headers: []string{"X-Session: " + id}})
		if resp.StatusCode != http.StatusBadGateway {
			t.Errorf("session id %q: got %d, want 502", id, resp.StatusCode)
		}
	}
}

// A session whose answer cannot be read is ended: its client does not learn its id.
func TestSessionWithoutAnAnswer(t *testing.T) {
	s := newSite(t, says(200, "application/json", "garbage", "Mcp-Session-Id: one"), nil)
	resp, _ := s.do(request{token: s.Granted("tools:a"), body: initialize})
	if resp.StatusCode != http.StatusBadGateway || resp.Header.Get("Mcp-Session-Id") != "" {
		t.Errorf("got %d %v, want 502", resp.StatusCode, resp.Header)
	}
	until(t, "the session is deleted", func() bool {
		for _, r := range s.reached() {
			if r.method == http.MethodDelete && r.header.Get("Mcp-Session-Id") == "one" {
				return true
			}
		}
		return false
	})
}

func TestSixtyFourSessions(t *testing.T) {
	next := &counted{}
	s := newSite(t, next, nil)
	token := s.Granted("tools:add")
	var ids []string
	for range 64 {
		ids = append(ids, s.open(token))
	}
	s.open(token)
	until(t, "the longest idle session is ended", func() bool { return next.gone(ids[0]) })
	if status, _ := s.post(request{token: token, session: ids[0], body: `{"jsonrpc":"2.0","id":1,"method":"ping"}`}); status != http.StatusNotFound {
		t.Errorf("ended session: got %d, want 404", status)
	}
	other := s.Granted("tools:add")
	s.open(other) // another key has its own room
}

func TestNoIdleSession(t *testing.T) {
	s := newSite(t, &counted{}, nil)
	token := s.Granted("tools:add")
	for range 64 {
		s.stream(request{verb: http.MethodGet, token: token, session: s.open(token), version: legacy})
	}
	status, answer := s.post(request{token: token, body: initialize})
	if status != http.StatusOK || !strings.Contains(answer, "64 sessions open") {
		t.Errorf("all in use: got %d %s, want a refusal", status, answer)
	}
}

func TestSessionEndsWithItsKey(t *testing.T) {
	next := &counted{}
	s := newSite(t, next, nil)
	token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:add"}})
	session := s.open(token)
	get := s.stream(request{verb: http.MethodGet, token: token, session: session, version: legacy})
	s.Revoke(id)
	if _, err := get.Body.Read(make([]byte, 10)); err == nil {
		t.Error("the stream of a revoked key got something")
	}
	until(t, "the session is deleted", func() bool { return next.gone(session) })
	if status, _ := s.post(request{token: token, session: session, version: legacy, body: callOf(legacy, "add").body}); status != http.StatusUnauthorized {
		t.Errorf("revoked key: got %d, want 401", status)
	}
}

func TestIdleSessionEnds(t *testing.T) {
	next := &counted{}
	s := newSite(t, next, &mcphttp.Options{SessionTimeout: 50 * time.Millisecond})
	token := s.Granted("tools:add")
	resp, _ := s.do(request{token: token, body: initialize})
	session := resp.Header.Get("Mcp-Session-Id")
	until(t, "the session is deleted", func() bool { return next.gone(session) })
	if status, _ := s.post(request{token: token, session: session, body: `{"jsonrpc":"2.0","id":1,"method":"ping"}`}); status != http.StatusNotFound {
		t.Errorf("after the timeout: got %d, want 404", status)
	}
}

// The server forgot the session: its client hears 404 and opens another.
func TestLostSession(t *testing.T) {
	lost := atomic.Bool{}
	next := &counted{}
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lost.Load() && r.Header.Get("Mcp-Session-Id") != "" {
			http.Error(w, "session not found", http.StatusNotFound)
			return
		}
		next.ServeHTTP(w, r)
	}), nil)
	token := s.Granted("tools:add")
	for _, body := range []string{callOf(legacy, "add").body, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, `{"jsonrpc":"2.0","method":"notifications/initialized"}`} {
		lost.Store(false)
		id := s.open(token)
		lost.Store(true)
		for range 2 {
			status, answer := s.post(request{token: token, session: id, version: legacy, body: body})
			if status != http.StatusNotFound || !strings.Contains(answer, "unknown_session") {
				t.Errorf("%s: got %d %s, want 404", body, status, answer)
			}
		}
		if got := len(s.reached()); got != 1 {
			t.Errorf("%s: %d requests reached the server, want the first", body, got)
		}
	}
}

// What the server asks its client in a session, and what the client answers, passes.
func TestRequestsOfTheServer(t *testing.T) {
	server := toolbox(nil)
	mcp.AddTool(server, &mcp.Tool{Name: "ask"}, func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		res, err := req.Session.Elicit(ctx, &mcp.ElicitParams{Message: "sure?"})
		if err != nil {
			return nil, nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "the user said " + res.Action}}}, nil, nil
	})
	s := newSite(t, sdk(server, mcp.StreamableHTTPOptions{}), nil)
	session := s.mustConnect(legacy, s.Granted("tools:ask"), &mcp.ClientOptions{
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept"}, nil
		},
	})
	res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "ask", Arguments: map[string]any{}})
	if err != nil || res.IsError || res.Content[0].(*mcp.TextContent).Text != "the user said accept" {
		t.Errorf("got %+v, %v\n%s", res, err, s.log.String())
	}
}

// A session whose requests were all made with the old secret does not end with the old one's
// grace: its streams do, and its client continues with the new secret. It ends with the key.
func TestSessionOutlivesItsSecret(t *testing.T) {
	s := newSite(t, sdk(toolbox(nil, "add"), mcp.StreamableHTTPOptions{}), nil)
	old, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:add"}})
	session := s.open(old)
	get := request{verb: http.MethodGet, token: old, session: session, version: legacy}
	stream := s.stream(get)
	fresh := s.Rotate(id, time.Hour)
	s.Elsewhere().Change(id, func(k *keys.Key) { k.Secrets[0].ExpiresAt = k.CreatedAt })
	if _, err := io.Copy(io.Discard, stream.Body); err != nil {
		t.Errorf("the stream of the old secret: %v, want its end", err)
	}
	call := callOf(legacy, "add")
	call.session, call.token = session, old
	for range 100 { // in which a session that ends is gone
		if status, _ := s.post(call); status != http.StatusUnauthorized {
			t.Fatalf("with the old secret: got %d, want 401", status)
		}
	}
	call.token = fresh
	if status, body := s.post(call); status != http.StatusOK {
		t.Errorf("with the new secret: got %d %s, want 200", status, body)
	}
	if deleted(s.reached(), session) {
		t.Error("the server was told to end the session")
	}
	s.Revoke(id)
	until(t, "the session ends with the key", func() bool { return deleted(s.reached(), session) })
}
