package mcphttp_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
)

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

// A message that has no answer is accepted at once, also if the server opens a stream for it, or
// begins a body that does not end. The server's request ends.
func TestMessagesWithoutAnswerDoNotWait(t *testing.T) {
	for _, kind := range []string{"text/event-stream", "text/plain", ""} {
		open, ended := make(chan struct{}, 10), make(chan struct{}, 10)
		upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if body := readAll(r); strings.Contains(body, `"initialize"`) {
				w.Header().Set("Mcp-Session-Id", "one")
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(answersTo(body)))
				return
			}
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write([]byte(": open\n\n"))
			_ = http.NewResponseController(w).Flush()
			open <- struct{}{}
			<-r.Context().Done()
			ended <- struct{}{}
		}))
		t.Cleanup(upstream.Close)
		to, err := url.Parse(upstream.URL)
		if err != nil {
			t.Fatal(err)
		}
		s := newSite(t, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, FlushInterval: -1}, nil)
		token := s.Granted("tools:add")
		resp, _ := s.do(request{token: token, body: initialize})
		session := resp.Header.Get("Mcp-Session-Id")
		for what, r := range map[string]request{
			"a notification": {body: `{"jsonrpc":"2.0","method":"notifications/initialized"}`},
			"a response":     {body: `{"jsonrpc":"2.0","id":1,"result":{}}`},
			"DELETE":         {verb: http.MethodDelete},
		} {
			if (what == "DELETE") != (kind == "") {
				continue // it would end the session of the others
			}
			r.token, r.session, r.version = token, session, legacy
			answer := make(chan int, 1)
			go func() {
				status, _ := s.post(r)
				answer <- status
			}()
			<-open
			select {
			case status := <-answer:
				if status >= 300 || r.verb == "" && status != http.StatusAccepted {
					t.Errorf("%q: %s: got %d, want 202", kind, what, status)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("%q: %s waits for a stream", kind, what)
			}
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Fatalf("%q: %s: the server's request does not end", kind, what)
			}
		}
	}
}
