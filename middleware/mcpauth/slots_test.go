package mcpauth_test

import (
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
)

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + legacy + `","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`

func count[T any](all iter.Seq[T]) (n int) {
	for range all {
		n++
	}
	return n
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute for: %s", what)
		}
	}
}

// ping sends a request in a session.
func (s *site) ping(token, session string) int {
	status, _ := s.post(request{token: token, session: session, version: legacy, body: `{"jsonrpc":"2.0","id":9,"method":"ping"}`})
	return status
}

// Attack C4: one key opens many sessions, each of which stays in memory for a day. It has 64;
// each further one ends the session that was idle longest, and never one of another key.
func TestC4SessionsOfAKeyAreBounded(t *testing.T) {
	s := newSite(t, nil, "add")
	token, other := s.Granted("tools:*"), s.Granted("tools:*")
	others := s.open(other)
	var open []string
	for range 64 {
		open = append(open, s.open(token))
	}
	if got := s.ping(token, open[0]); got != http.StatusOK { // from here on the second is idle longest
		t.Fatalf("ping of the first session: got %d", got)
	}
	for range 200 {
		open = append(open, s.open(token))
	}
	until(t, "65 sessions are left", func() bool { return count(s.server.Sessions()) == 65 })
	for i, session := range open {
		want := http.StatusNotFound
		if i >= 200 {
			want = http.StatusOK
		}
		if got := s.ping(token, session); got != want {
			t.Errorf("session %d: got %d, want %d", i+1, got, want)
		}
	}
	if got := s.ping(other, others); got != http.StatusOK {
		t.Errorf("the other key's session: got %d, want 200", got)
	}
}

// The order is that of the last use, not of the opening.
func TestLongestIdleSessionGoesFirst(t *testing.T) {
	s := newSite(t, nil, "add")
	token := s.Granted("tools:*")
	var open []string
	for range 64 {
		open = append(open, s.open(token))
	}
	s.ping(token, open[0])
	s.ping(token, open[1])
	s.open(token)
	for i, want := range []int{200, 200, 404, 200} {
		if got := s.ping(token, open[i]); got != want {
			t.Errorf("session %d: got %d, want %d", i+1, got, want)
		}
	}
}

// A client that uses 64 sessions keeps them, and gets an error for the 65th: at once, without
// any work of the SDK. When one of them is no longer used, there is room again.
func TestSessionsInUseStay(t *testing.T) {
	s := newSite(t, nil, "add")
	token := s.Granted("tools:*")
	var streams []*http.Response
	for range 64 {
		resp, err := http.DefaultTransport.RoundTrip(s.request(http.MethodGet, request{token: token, session: s.open(token), version: legacy}))
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("GET: got %v, %v", resp, err)
		}
		streams = append(streams, resp)
	}
	for name, body := range map[string]string{
		"alone": initialize, "in a batch": "[" + initialize + "]", "after another": `[{"jsonrpc":"2.0","id":5,"method":"ping"},` + initialize + "]",
		"spelled otherwise": strings.ReplaceAll(initialize, `"initialize"`, `"\u0069nitialize"`),
	} {
		status, answer := s.post(request{token: token, body: body})
		if status != http.StatusTooManyRequests || !strings.Contains(answer, "too_many_sessions") || !strings.Contains(answer, "Close one of them") {
			t.Errorf("the 65th, %s: got %d %s, want 429 and what to do", name, status, answer)
		}
	}
	if n := count(s.server.Sessions()); n != 64 {
		t.Errorf("sessions: got %d, want 64", n)
	}
	if line := s.log.String(); !strings.Contains(line, "too_many_sessions") {
		t.Errorf("log: got %q", line)
	}
	s.open(s.Granted("tools:*")) // another key's first
	_ = streams[0].Body.Close()
	until(t, "a session becomes idle", func() bool {
		status, _ := s.post(request{token: token, body: initialize})
		return status == http.StatusOK
	})
	for _, resp := range streams {
		_ = resp.Body.Close()
	}
}

// A session that ends by itself makes room, and so does one that never began.
func TestEndedSessionsMakeRoom(t *testing.T) {
	s := newSite(t, nil, "add")
	token := s.Granted("tools:*")
	first := s.open(token)
	for i := range 200 {
		body := strings.Replace(initialize, `"params"`, `"parms"`, 1)
		if i%2 == 0 {
			body = fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, i)
		}
		s.post(request{token: token, body: body})
	}
	for range 100 {
		resp, err := http.DefaultTransport.RoundTrip(s.request(http.MethodDelete, request{token: token, session: s.open(token), version: legacy}))
		if err != nil || resp.StatusCode != http.StatusNoContent {
			t.Fatalf("DELETE: got %v, %v", resp, err)
		}
		_ = resp.Body.Close()
	}
	if got := s.ping(token, first); got != http.StatusOK {
		t.Errorf("the first session, beside others that ended: got %d, want 200", got)
	}
}

// Refusals of all kinds are in the log, with what is known about the caller.
func TestRefusalsOfEveryKindAreLogged(t *testing.T) {
	s := newSite(t, nil, "add")
	token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:*"}})
	session := s.open(s.Granted("tools:*"))
	for code, r := range map[string]request{
		"session_mismatch":   {token: token, session: session, version: legacy, body: `{"jsonrpc":"2.0","id":9,"method":"ping"}`},
		"unknown_session":    {token: token, session: "MADEUP", version: legacy, body: `{"jsonrpc":"2.0","id":9,"method":"ping"}`},
		"origin_not_allowed": {token: token, headers: []string{"Origin: https://evil.example"}, body: initialize},
	} {
		before := s.log.String()
		status, _ := s.post(r)
		line := strings.TrimPrefix(s.log.String(), before)
		if status < 400 || !strings.Contains(line, `"code":"`+code+`"`) || !strings.Contains(line, `"remote_ip":"127.0.0.1"`) {
			t.Errorf("%s: got %d, log %q", code, status, line)
		}
		if known := code != "origin_not_allowed"; known != strings.Contains(line, id) || known != strings.Contains(line, `"proved":true`) {
			t.Errorf("%s: log %q: names the key and that it was proved, want %v", code, line, known)
		}
	}
	resp, err := http.Get(strings.TrimSuffix(s.url, "/mcp") + "/.well-known/oauth-authorization-server")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if line := s.log.String(); !strings.Contains(line, `"code":"no_route"`) {
		t.Errorf("NotFound: log %q", line)
	}
}

// Attack: in the version without sessions one key subscribes to changes thousands of times, and
// each subscription holds a stream and memory as long as the client likes. A key has 64; other
// keys, and other requests of the key, are not affected.
func TestSubscriptionsOfAKeyAreBounded(t *testing.T) {
	s := newSite(t, nil, "add")
	listen := message(modern, "subscriptions/listen", "", `{"notifications":{"toolsListChanged":true}}`)
	listen.token = s.Granted("tools:*")
	var streams []*answer
	for range 64 {
		a := s.begin(listen)
		a.event("acknowledged")
		streams = append(streams, a)
	}
	for range 3 {
		resp := s.stream(listen)
		if resp.StatusCode != http.StatusTooManyRequests {
			t.Errorf("the 65th: got %d, want 429", resp.StatusCode)
			_ = resp.Body.Close()
			continue
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if !strings.Contains(string(text), "too_many_streams") || !strings.Contains(string(text), "Close one of them") {
			t.Errorf("the 65th: got %s, want what to do", text)
		}
	}
	if status, body := s.send(modern, listen.token, callOf(modern, "add")); status != http.StatusOK {
		t.Errorf("a call of the same key: got %d %s", status, body)
	}
	s.open(listen.token)
	other := listen
	other.token = s.Granted("tools:*")
	a := s.begin(other)
	a.event("acknowledged")
	_ = a.resp.Body.Close()
	_ = streams[0].resp.Body.Close()
	until(t, "there is room for a stream", func() bool {
		resp := s.stream(listen)
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	for _, a := range streams[1:] {
		_ = a.resp.Body.Close()
	}
}
