package mcpauth_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// endings are what a client must be told about a call that ended, by the true reason.
var endings = map[keys.Code][]string{
	keys.CodeRevoked:           {`"code":"invalid_token"`, "its API key is no longer valid for this server", "ask the person who issued it"},
	keys.CodeDisabled:          {`"code":"invalid_token"`, "its API key is no longer valid for this server"},
	keys.CodeExpired:           {`"code":"invalid_token"`, "its API key is no longer valid for this server"},
	keys.CodeInsufficientScope: {`"code":"insufficient_scope"`, "its API key was changed and no longer grants tools:", "ask the person who issued the key for that scope"},
	keys.CodeUnavailable:       {`"code":"unavailable"`, "API keys cannot be checked right now. Try again in 1 second.", `"retry_after":1`},
}

// answersIn returns the messages in body that answer calls, with their framing.
func answersIn(t *testing.T, body string) map[int]json.RawMessage {
	t.Helper()
	type message struct {
		ID     int              `json:"id"`
		Method string           `json:"method"`
		Error  *json.RawMessage `json:"error"`
		Result *json.RawMessage `json:"result"`
	}
	found := map[int]json.RawMessage{}
	read := func(text string) {
		var batch []json.RawMessage
		if json.Unmarshal([]byte(text), &batch) != nil {
			batch = []json.RawMessage{json.RawMessage(text)}
		}
		for _, raw := range batch {
			var m message
			if err := json.Unmarshal(raw, &m); err != nil {
				t.Fatalf("answer: got %q: %v", text, err)
			}
			if m.Method != "" {
				continue
			}
			if (m.Error == nil) == (m.Result == nil) || found[m.ID] != nil {
				t.Errorf("answer: got %s, want one of error and result, once for each id", raw)
			}
			found[m.ID] = raw
		}
	}
	if strings.HasPrefix(body, "{") || strings.HasPrefix(body, "[") {
		read(body)
		return found
	}
	for line := range strings.Lines(body) {
		switch text, ok := strings.CutPrefix(line, "data: "); {
		case ok && strings.TrimSpace(text) != "":
			read(text)
		case !ok && strings.Contains(line, "jsonrpc"):
			t.Errorf("stream: got %q, which is not an event", line)
		}
	}
	return found
}

// wantEnding: the call is answered once, with an error that contains told.
func wantEnding(t *testing.T, body string, id int, told ...string) {
	t.Helper()
	answer := string(answersIn(t, body)[id])
	for _, want := range append(told, "The call was ended before it was finished", `"request_id"`) {
		if !strings.Contains(answer, want) {
			t.Errorf("call %d: got %s in %s, want an error with %q", id, answer, body, want)
		}
	}
	for _, reserved := range []string{"-32601", "-32602", "-32021", "-32022"} {
		if strings.Contains(answer, reserved) {
			t.Errorf("call %d: got %s, whose code the SDK does not frame", id, answer)
		}
	}
}

// TestRunningCallIsToldOfItsEnd: whatever ends a call, its client gets one error for it at
// once, in the form in which its answer began, and does not wait.
func TestRunningCallIsToldOfItsEnd(t *testing.T) {
	for _, version := range eras {
		for _, inJSON := range []bool{false, true} {
			for _, code := range []keys.Code{keys.CodeInsufficientScope, keys.CodeUnavailable, keys.CodeExpired} {
				t.Run(fmt.Sprintf("%s json=%v %s", version, inJSON, code), func(t *testing.T) {
					s := newSlowSite(t)
					s.serve(&mcpauth.Options{HTTP: &mcp.StreamableHTTPOptions{JSONResponse: inJSON}})
					token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
					session := ""
					if version < modern {
						session = s.open(token)
					}
					a := s.beginCall(version, token, session, "telling")
					switch code {
					case keys.CodeUnavailable:
						s.Pull(true)
						s.Elsewhere().Change(id, func(k *keys.Key) { k.Name = "other" })
					case keys.CodeExpired:
						s.Elsewhere().Change(id, func(k *keys.Key) { k.ExpiresAt = soon() })
					default:
						s.Elsewhere().Change(id, func(k *keys.Key) { k.Scopes = []string{"tools:quick"} })
					}
					status, body := a.end()
					if status != http.StatusOK {
						t.Errorf("got %d %s, want 200", status, body)
					}
					wantEnding(t, body, 7, endings[code]...)
					s.Pull(false)
				})
			}
		}
	}
}

// batch is the last version with batches.
const batch = "2025-03-26"

// beginBatch calls each tool, with ids from 1, and returns when all of them run.
func (s *site) beginBatch(token string, tools ...string) *answer {
	s.t.Helper()
	var calls []string
	for i, tool := range tools {
		calls = append(calls, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":{}}}`, i+1, tool))
	}
	a := s.begin(request{token: token, session: s.open(token), version: batch, body: "[" + strings.Join(calls, ",") + "]"})
	for _, tool := range tools {
		select {
		case <-s.slows[tool].began:
		case <-time.After(patience):
			s.t.Fatalf("%s does not run", tool)
		}
	}
	return a
}

// TestNarrowedBatchEndsOnlyWhatNeededTheScope: of the calls in one request, the one whose scope
// was removed gets the error, and the other gets its result.
func TestNarrowedBatchEndsOnlyWhatNeededTheScope(t *testing.T) {
	for _, inJSON := range []bool{false, true} {
		t.Run(fmt.Sprintf("json=%v", inJSON), func(t *testing.T) {
			s := newSlowSite(t)
			s.serve(&mcpauth.Options{HTTP: &mcp.StreamableHTTPOptions{JSONResponse: inJSON}})
			token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
			a := s.beginBatch(token, "slow", "telling")
			s.Elsewhere().Change(id, func(k *keys.Key) { k.Scopes = []string{"tools:telling"} })
			s.slows["slow"].wantCause(t, keys.CodeInsufficientScope)
			close(s.slows["telling"].goOn)
			status, body := a.end()
			if status != http.StatusOK || strings.Count(body, slowSecret) != 1 || !strings.Contains(string(answersIn(t, body)[2]), slowSecret) {
				t.Errorf("got %d %s, want the result of the other call alone", status, body)
			}
			wantEnding(t, body, 1, "no longer grants tools:slow")
		})
	}
}

// TestRevokedBatchEndsAll: each call of a batch gets the error, also one whose answer was not
// written yet.
func TestRevokedBatchEndsAll(t *testing.T) {
	for _, inJSON := range []bool{false, true} {
		t.Run(fmt.Sprintf("json=%v", inJSON), func(t *testing.T) {
			s := newSlowSite(t)
			s.serve(&mcpauth.Options{HTTP: &mcp.StreamableHTTPOptions{JSONResponse: inJSON}})
			token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
			a := s.beginBatch(token, "slow", "telling")
			if inJSON {
				close(s.slows["slow"].goOn)
			}
			s.Elsewhere().Revoke(id)
			status, body := a.end()
			if status != http.StatusOK || strings.Contains(body, slowSecret) {
				t.Errorf("got %d %s, want errors alone", status, body)
			}
			for _, call := range []int{1, 2} {
				wantEnding(t, body, call, endings[keys.CodeRevoked]...)
			}
		})
	}
}

// TestAnsweredAfterItsScopeWasTaken: a call of a batch ends just after its scope was removed,
// before the guard has noticed. Its result must no longer be sent to the key. The other call of
// the batch keeps the request open.
func TestAnsweredAfterItsScopeWasTaken(t *testing.T) {
	for range 10 { // sometimes the guard notices at once
		s := newSlowSite(t)
		token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
		s.server.AddTool(&mcp.Tool{Name: "narrows", InputSchema: json.RawMessage(`{"type":"object"}`)},
			func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				s.Elsewhere().Change(id, func(k *keys.Key) { k.Scopes = []string{"tools:telling"} })
				return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: slowSecret}}}, nil
			})
		a := s.begin(request{token: token, session: s.open(token), version: batch, body: `[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"narrows","arguments":{}}},
			{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"telling","arguments":{}}}]`})
		a.eventOf(`"id":1`, "no longer grants tools:narrows")
		close(s.slows["telling"].goOn)
		if _, body := a.end(); strings.Count(body, slowSecret) != 1 {
			t.Errorf("got %s, want the result of the other call alone", body)
		}
	}
}

// TestNarrowedKeyGoesOnElsewhere: a call that is still allowed does not end because the key
// lost another scope, in either version.
func TestNarrowedKeyGoesOnElsewhere(t *testing.T) {
	for _, kind := range kinds {
		if !strings.Contains(kind.name, "call") {
			continue
		}
		t.Run(kind.name, func(t *testing.T) {
			s := newSlowSite(t)
			token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
			o := kind.open(s, token)
			told := make(chan struct{}, 1)
			defer s.Verifier().OnChange(id, func() { told <- struct{}{} })()
			s.Elsewhere().Change(id, func(k *keys.Key) { k.Scopes = []string{"tools:slow", "tools:telling"} })
			<-told // and so were the holds, which are older
			s.wantGoesOn(o, token)
		})
	}
}

// TestStreamsGoOnWhenTheirKeyIsNarrowed: the client is told of changes in them.
func TestStreamsGoOnWhenTheirKeyIsNarrowed(t *testing.T) {
	for _, kind := range kinds {
		if strings.Contains(kind.name, "call") {
			continue
		}
		t.Run(kind.name, func(t *testing.T) {
			s := newSlowSite(t)
			token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
			o := kind.open(s, token)
			if o.session != "" {
				s.subscribe(token, o.session, "res://a")
			}
			s.Elsewhere().Change(id, func(k *keys.Key) { k.Scopes = []string{"tools:quick", mcpscope.Resource("res://a")} })
			s.updated("res://a")
			o.eventOf("notifications/resources/updated", "res://a")
			s.Elsewhere().Change(id, func(k *keys.Key) { k.Scopes = []string{"tools:quick"} })
			s.updated("res://a")
			s.Elsewhere().Revoke(id)
			if _, body := o.end(); strings.Count(body, "resources/updated") != 1 {
				t.Errorf("got %s, want to hear of the resource while it was granted", body)
			}
		})
	}
}

// Attack: a tool ignores its context and continues to send after its key ended: progress, and a
// question to the client.
func TestEndedCallSaysNoMore(t *testing.T) {
	for _, alter := range []func(*keys.Key){
		func(k *keys.Key) { k.RevokedAt = now() },
		func(k *keys.Key) { k.Scopes = []string{"tools:telling"} },
	} {
		s := newSlowSite(t)
		spoke := make(chan error, 2)
		began, goOn := make(chan struct{}), make(chan struct{})
		s.server.AddTool(&mcp.Tool{Name: "talker", InputSchema: json.RawMessage(`{"type":"object"}`)}, func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			ctx = context.WithoutCancel(ctx)
			close(began)
			<-goOn
			spoke <- req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: "p", Message: slowSecret})
			_, err := req.Session.Elicit(ctx, &mcp.ElicitParams{Message: slowSecret})
			spoke <- err
			return &mcp.CallToolResult{}, nil
		})
		s.slows["talker"] = &slow{began: make(chan string)}
		token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
		session := s.open(token)
		// in one request with a call that continues, so that there is a stream to send in
		a := s.begin(request{token: token, session: session, version: batch, body: `[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"talker","arguments":{}}},
			{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"telling","arguments":{}}}]`})
		<-began
		<-s.slows["telling"].began
		s.Elsewhere().Change(id, alter)
		close(goOn)
		for range 2 {
			select {
			case err := <-spoke:
				if err == nil {
					t.Error("the ended call could speak")
				}
			case <-time.After(patience):
				t.Fatal("the tool waits")
			}
		}
		close(s.slows["telling"].goOn)
		if _, body := a.end(); strings.Contains(body, "elicitation/create") || strings.Contains(body, `"message":"`+slowSecret) {
			t.Errorf("got %s, want nothing of the ended call", body)
		}
	}
}

// resume calls telling in a session, loses the connection, and returns the resumed stream of the
// call.
func (s *site) resume(token string) *answer {
	s.t.Helper()
	session := s.open(token)
	r := callOf(legacy, "telling")
	r.token, r.session = token, session
	ctx, hangUp := context.WithCancel(s.t.Context())
	defer hangUp()
	resp, err := http.DefaultTransport.RoundTrip(s.request(http.MethodPost, r).WithContext(ctx))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	first := ""
	for events := bufio.NewScanner(resp.Body); !strings.Contains(events.Text(), "under way") && events.Scan(); {
		if text, ok := strings.CutPrefix(events.Text(), "id: "); ok && first == "" {
			first = text
		}
	}
	hangUp()
	for { // the server notices after a while that the client is gone
		a := s.begin(request{token: token, session: session, version: legacy, headers: []string{"Last-Event-ID: " + first}})
		select {
		case <-a.events: // what was missed
			return a
		case <-a.ended:
			if status, body := a.end(); status != http.StatusConflict {
				s.t.Fatalf("resume: got %d %s", status, body)
			}
		case <-time.After(patience):
			s.t.Fatal("the stream is not resumed")
		}
	}
}

// TestResumedCallIsToldOfItsEnd: a client that lost its connection, and waits for the answer in
// a resumed stream, gets the error there.
func TestResumedCallIsToldOfItsEnd(t *testing.T) {
	s := newSlowSite(t)
	s.serve(&mcpauth.Options{HTTP: &mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)}})
	token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
	a := s.resume(token)
	s.Elsewhere().Revoke(id)
	_, body := a.end()
	wantEnding(t, body, 7, endings[keys.CodeRevoked]...)
}

// patient is a verifier whose holds end nothing before the test is over: what ends a hold may get
// the processor late.
type patient struct {
	*verifier.Verifier
	over <-chan struct{}
}

func (v patient) Hold(d keys.Decision, call verifier.Call, enough func(*keys.Identity) bool, ended func(keys.Code)) (release func()) {
	return v.Verifier.Hold(d, call, enough, func(code keys.Code) {
		<-v.over
		ended(code)
	})
}

// Attack: a client loses the connection of a call and resumes its stream, which knows nothing of the
// call's scope. The scope is taken away, and the tool answers at that moment.
func TestResumedCallGetsNoResultWithoutItsScope(t *testing.T) {
	s := newSlowSite(t)
	guard := middleware.New(patient{s.Verifier(), t.Context().Done()}, &middleware.Options{Audience: guardtest.Audience})
	srv := httptest.NewServer(mcpauth.Handler(guard, s.server, &mcpauth.Options{HTTP: &mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)}}))
	t.Cleanup(srv.Close)
	s.url = srv.URL
	token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
	a := s.resume(token)
	s.Change(id, func(k *keys.Key) { k.Scopes = []string{"tools:quick"} })
	close(s.slows["telling"].goOn)
	_, body := a.end()
	if strings.Contains(body, slowSecret) {
		t.Errorf("after the change the result came: %s", body)
	}
	wantEnding(t, body, 7, endings[keys.CodeInsufficientScope]...)
}
