package mcphttp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
)

// slowbox is a server of the SDK with one tool that runs until its context ends, or stop is
// closed.
func slowbox(began func(), stop chan struct{}) (server *mcp.Server, ended chan struct{}) {
	server, ended = toolbox(nil, "add"), make(chan struct{}, 10)
	server.AddTool(&mcp.Tool{Name: "slow", InputSchema: json.RawMessage(`{"type":"object"}`)},
		func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			_ = req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: "p", Message: "began"})
			began()
			select {
			case <-ctx.Done():
				ended <- struct{}{}
			case <-stop:
			}
			return nil, ctx.Err()
		})
	return server, ended
}

// A running call whose key ends is answered at once with one error, its request at the server
// is cancelled, and nothing else is sent.
func TestRunningCallEndsWithItsKey(t *testing.T) {
	for _, version := range eras {
		for _, inJSON := range []bool{false, true} {
			for code, change := range map[string]func(*keys.Key){
				"-31401": func(k *keys.Key) { k.DisabledAt = k.CreatedAt },
				"-31403": func(k *keys.Key) { k.Scopes = []string{"tools:add"} },
			} {
				var began atomic.Bool
				stop := make(chan struct{})
				server, ended := slowbox(func() { began.Store(true) }, stop)
				s := newSite(t, sdk(server, mcp.StreamableHTTPOptions{JSONResponse: inJSON, PropagateRequestCancellation: true}), nil)
				t.Cleanup(func() { close(stop) }) // before the server is closed
				token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:add", "tools:slow"}})
				r := callOf(version, "slow")
				r.token = token
				if version == legacy {
					r.session = s.open(token)
				}
				done := make(chan string, 1)
				go func() {
					_, body := s.post(r)
					done <- body
				}()
				until(t, "the call runs", began.Load)
				s.Elsewhere().Change(id, change)
				var answer string
				select {
				case body := <-done:
					answer = idsIn(t, body)["7"]
				case <-time.After(20 * time.Second):
					t.Fatalf("%s JSON=%v: the call is not answered", version, inJSON)
				}
				for _, want := range []string{code, "The call was ended before it was finished", `"request_id"`} {
					if !strings.Contains(answer, want) {
						t.Errorf("%s JSON=%v: got %s, want %s", version, inJSON, answer, want)
					}
				}
				select {
				case <-ended:
				case <-time.After(20 * time.Second):
					t.Errorf("%s JSON=%v: the call still runs at the server", version, inJSON)
				}
			}
		}
	}
}

// A scope that a call does not need may go.
func TestNarrowedKeyKeepsOtherCalls(t *testing.T) {
	release := make(chan struct{})
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(good))
	}), nil)
	token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:add", "tools:other"}})
	r := callOf(legacy, "add")
	r.token = token
	done := make(chan string, 1)
	go func() {
		_, body := s.post(r)
		done <- body
	}()
	until(t, "the call runs", func() bool { return len(s.reached()) > 0 })
	s.Elsewhere().Change(id, func(k *keys.Key) { k.Scopes = []string{"tools:add"} })
	close(release)
	if body := <-done; body != good {
		t.Errorf("got %s, want the answer", body)
	}
}

// After a revoke has returned, not one more event passes, though the server writes on.
func TestNothingPassesAfterARevoke(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; r.Context().Err() == nil; i++ {
			_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"n\":%d}}\n\n", i)
			time.Sleep(time.Millisecond)
		}
	}), nil)
	token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:add"}})
	r := callOf(legacy, "add")
	r.token = token
	resp := s.stream(r)
	lines := bufio.NewScanner(resp.Body)
	for range 10 {
		lines.Scan()
	}
	s.Revoke(id)
	rest, _ := io.ReadAll(resp.Body)
	if !strings.Contains(string(rest), "-31401") || !strings.HasSuffix(string(rest), "\n\n") {
		t.Errorf("got %s, want the error as the last event", rest)
	}
	after := string(rest)[strings.Index(string(rest), "-31401"):]
	if strings.Contains(after, "notifications/message") {
		t.Errorf("after the error: got %s", after)
	}
}

// What the server writes when a revoke has just returned is not sent, in any form.
func TestNothingIsSentOnceARevokeHasReturned(t *testing.T) {
	for i := range 40 {
		kind, late := "application/json", strings.Replace(good, "[]", `["late"]`, 1)
		if i%2 == 0 {
			kind, late = "text/event-stream", "data: "+late+"\n\n"
		}
		revoked := make(chan struct{})
		s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(http.StatusOK)
			<-revoked
			_, _ = w.Write([]byte(late))
		}), nil)
		token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:add"}})
		r := callOf(legacy, "add")
		r.token = token
		done := make(chan string, 1)
		go func() {
			_, body := s.post(r)
			done <- body
		}()
		until(t, "the call runs", func() bool { return len(s.reached()) > 0 })
		s.Revoke(id)
		close(revoked)
		if body := <-done; strings.Contains(body, "late") || !strings.Contains(body, "-31401") {
			t.Fatalf("%s: got %s, want the end of the call", kind, body)
		}
	}
}

// A batch loses the call whose scope was removed; the server is told, and the rest is answered.
func TestOneCallOfABatchEnds(t *testing.T) {
	release := make(chan struct{})
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := readAll(r)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.Contains(body, "initialize\""):
			w.Header().Set("Mcp-Session-Id", "one")
		case !strings.HasPrefix(body, "["):
			w.WriteHeader(http.StatusAccepted)
			return
		default:
			<-release
		}
		_, _ = w.Write([]byte(answersTo(body)))
	}), nil)
	token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:a", "tools:b"}})
	session := s.open(token)
	body := `[{"jsonrpc":"2.0","id":"1","method":"tools/call","params":{"name":"a"}},{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"b"}}]`
	done := make(chan string, 1)
	go func() {
		_, body := s.post(request{token: token, session: session, body: body})
		done <- body
	}()
	until(t, "the batch runs", func() bool { return len(s.reached()) > 0 })
	s.Elsewhere().Change(id, func(k *keys.Key) { k.Scopes = []string{"tools:b"} })
	until(t, "the server is told", func() bool {
		for _, r := range s.reached() {
			if strings.Contains(r.body, `"notifications/cancelled","params":{"requestId":"1"`) && r.header.Get("Mcp-Session-Id") == session {
				return true
			}
		}
		return false
	})
	close(release)
	ids := idsIn(t, <-done)
	if len(ids) != 2 || !strings.Contains(ids[`"1"`], "-31403") || !strings.Contains(ids["2"], "result") {
		t.Errorf("got %v, want the end of the first and the answer of the second", ids)
	}
}
