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
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
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

// An edit of a key tells its clients that their lists changed, on the stream that they listen to.
func TestEditsAreTold(t *testing.T) {
	for _, version := range eras {
		server := toolbox(nil, "a", "b")
		s := newSite(t, sdk(server, mcp.StreamableHTTPOptions{}), nil)
		token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:a"}})
		told := make(chan struct{}, 10)
		var stream *http.Response
		if version == legacy {
			s.mustConnect(version, token, &mcp.ClientOptions{ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { told <- struct{}{} }})
			until(t, "the client listens", func() bool {
				for _, r := range s.reached() {
					if r.method == http.MethodGet {
						return true
					}
				}
				return false
			})
		} else {
			r := message(modern, "subscriptions/listen", "", `{"notifications":{"toolsListChanged":true}}`)
			r.token = token
			stream = s.stream(r)
			lines := bufio.NewScanner(stream.Body)
			until(t, "the acknowledgement", func() bool { return lines.Scan() && strings.Contains(lines.Text(), "acknowledged") })
			go func() {
				for lines.Scan() {
					if strings.Contains(lines.Text(), "tools/list_changed") && strings.Contains(lines.Text(), `"io.modelcontextprotocol/subscriptionId":7`) {
						told <- struct{}{}
					}
				}
			}()
		}
		s.Elsewhere().Change(id, func(k *keys.Key) { k.Scopes = []string{"tools:*"} })
		select {
		case <-told:
		case <-time.After(20 * time.Second):
			t.Errorf("%s: the client was not told\n%s", version, s.log.String())
		}
	}
}

// A subscription is narrowed in the request, and updates outside the grant are dropped.
func TestSubscriptionsAreNarrowed(t *testing.T) {
	s := newSite(t, says(200, "text/event-stream",
		"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{\"uri\":\"doc://hidden\"}}\n\n"+
			"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{\"uri\":\"doc://seen\"}}\n\n"+
			"data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n\n"), nil)
	r := message(modern, "subscriptions/listen", "", `{ "notifications":{"toolsListChanged":true, "resourceSubscriptions":["doc://hidden", "doc://seen"]}}`)
	r.token = s.Granted(mcpscope.Resource("doc://seen"))
	_, body := s.post(r)
	if got := s.reached()[0].body; got != strings.Replace(r.body, `["doc://hidden", "doc://seen"]`, `["doc://seen"]`, 1) {
		t.Errorf("the server saw %s", got)
	}
	if strings.Contains(body, "hidden") || !strings.Contains(body, "doc://seen") {
		t.Errorf("got %s", body)
	}
	for _, bad := range []string{`{"notifications":{"resourceSubscriptions":["doc://hidden"],"resourcesubscriptions":[]}}`, `{"notifications":{"resourceSubscriptions":"doc://hidden"}}`} {
		r := message(modern, "subscriptions/listen", "", bad)
		r.token = s.Granted("tools:x")
		if status, body := s.post(r); status != http.StatusBadRequest || len(s.reached()) != 0 {
			t.Errorf("%s: got %d %s, want 400", bad, status, body)
		}
	}
}

// What a server sends on the stream of a session is judged by what the session asked and by
// its form: a replay may have the answer of another time.
func TestReplays(t *testing.T) {
	hidden := `{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"payroll"},{"name":"add"}],"nextCursor":"payroll"}}`
	replay := "id: 1\ndata: " + fmt.Sprintf(hidden, "1") + "\n\nid: 2\ndata: " + fmt.Sprintf(hidden, "7") + "\n\nid: 3\ndata: " + fmt.Sprintf(hidden, `"mcpkeys-1"`) + "\n\n" +
		"id: 4\ndata: " + strings.Replace(good, "7", "9", 1) + "\n\nid: 5\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"roots/list\"}\n\n"
	next := &counted{}
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.Header.Get("Last-Event-Id") == "0" {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = w.Write([]byte(replay))
			return
		}
		next.ServeHTTP(w, r)
	}), nil)
	token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:add", "tools:nine"}})
	session := s.open(token)
	for _, r := range []request{callOf(legacy, "add"), {body: strings.Replace(callOf(legacy, "nine").body, "7", "9", 1)}} {
		r.token, r.session = token, session
		s.post(r)
	}
	get := request{verb: http.MethodGet, token: token, session: session, version: legacy, headers: []string{"Last-Event-Id: 0"}}
	_, body := s.do(get)
	ids := idsIn(t, body)
	if strings.Contains(body, "payroll") || ids["7"] != `{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"add"}]}}` || ids["9"] == "" || !strings.Contains(body, "roots/list") {
		t.Errorf("got %s", body)
	}
	s.Elsewhere().Change(id, func(k *keys.Key) { k.Scopes = []string{"tools:add"} })
	if _, body := s.do(get); !strings.Contains(idsIn(t, body)["9"], "-31403") {
		t.Errorf("after the key was narrowed: got %s, want the end of 9", body)
	}
}

// A stream that a client can resume ends without an answer: it comes on the next one.
func TestResumableStreams(t *testing.T) {
	for id, want := range map[string]string{"id: 1\n": "", "": "no usable answer"} {
		s := newSite(t, says(200, "text/event-stream", id+"data: \n\n"), nil)
		r := callOf(legacy, "add")
		r.token = s.Granted("tools:add")
		if _, body := s.post(r); !strings.Contains(idsIn(t, body)["7"], want) || want == "" && body != id+"data: \n\n" {
			t.Errorf("%q: got %s", id, body)
		}
	}
}

func TestRateLimitsCountCalls(t *testing.T) {
	s := newSite(t, echo(), nil)
	limit, err := keys.ParseRateLimit("3/m")
	if err != nil {
		t.Fatal(err)
	}
	token, _ := s.Issue(admin.IssueRequest{Scopes: []string{"tools:add"}, RateLimit: limit})
	call := callOf("", "add").body
	batch := "[" + call + "," + strings.Replace(strings.Replace(call, "7", "8", 1), "add", "payroll", 1) + "]"
	s.post(request{token: token, body: batch}) // two calls, one denied
	s.post(request{token: token, body: message("", "tools/list", "", "{}").body})
	if _, body := s.post(request{token: token, body: call}); !strings.Contains(body, "result") {
		t.Errorf("third call: got %s", body)
	}
	_, body := s.post(request{token: token, body: call})
	if !strings.Contains(body, "-31429") || !strings.Contains(body, `"retry_after":`) || !strings.Contains(body, "Try again in") {
		t.Errorf("fourth call: got %s, want rate_limited", body)
	}
}
