package mcpauth_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// patience is how long a test waits for what usually takes milliseconds.
const patience = 20 * time.Second

// answer is one HTTP answer, read as it arrives.
type answer struct {
	t      testing.TB
	events chan string // data lines
	ended  chan struct{}
	resp   *http.Response
	body   strings.Builder // complete when ended
}

// begin sends r, or a GET if it has no body, and does not wait.
func (s *site) begin(r request) *answer {
	s.t.Helper()
	method := http.MethodPost
	if r.body == "" {
		method = http.MethodGet
	}
	req := s.request(method, r)
	a := &answer{t: s.t, events: make(chan string, 100), ended: make(chan struct{})}
	go func() {
		defer close(a.ended)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return
		}
		defer func() { _ = resp.Body.Close() }()
		a.resp = resp
		for lines := bufio.NewReader(resp.Body); ; {
			line, err := lines.ReadString('\n')
			a.body.WriteString(line)
			if strings.HasPrefix(line, "data: ") || strings.HasPrefix(line, ": ok") {
				a.events <- line
			}
			if err != nil {
				return
			}
		}
	}()
	return a
}

// event waits for the next one.
func (a *answer) event(want string) {
	a.t.Helper()
	select {
	case line := <-a.events:
		if !strings.Contains(line, want) {
			a.t.Fatalf("event: got %q, want %q", line, want)
		}
	case <-a.ended:
		a.t.Fatalf("the answer ended with %q, want an event %q", a.body.String(), want)
	case <-time.After(patience):
		a.t.Fatalf("no event %q comes", want)
	}
}

// eventOf waits for the next one that contains kind, and skips others.
func (a *answer) eventOf(kind, want string) {
	a.t.Helper()
	for {
		select {
		case line := <-a.events:
			if !strings.Contains(line, kind) {
				continue
			}
			if !strings.Contains(line, want) {
				a.t.Fatalf("event: got %q, want %q", line, want)
			}
			return
		case <-a.ended:
			a.t.Fatalf("the answer ended with %q, want an event %q", a.body.String(), want)
		case <-time.After(patience):
			a.t.Fatalf("no event %q comes", want)
		}
	}
}

// end waits for the end and returns status and body.
func (a *answer) end() (status int, body string) {
	a.t.Helper()
	select {
	case <-a.ended:
	case <-time.After(patience):
		a.t.Fatal("the answer does not end")
	}
	if a.resp == nil {
		return 0, ""
	}
	return a.resp.StatusCode, a.body.String()
}

// slow is a tool that says that it began, waits until it is released, and notes why its context
// ended.
type slow struct {
	heeds  bool            // whether it obeys its context
	tells  bool            // whether it sends progress, so that its answer begins
	began  chan string     // the key's id
	goOn   chan struct{}   // closed: answer
	causes chan error      // of its context's end
	done   <-chan struct{} // the test is over
}

const slowSecret = "the slow secret"

func (s *site) slow(name string, heeds, tells bool) *slow {
	tool := &slow{heeds, tells, make(chan string, 10), make(chan struct{}), make(chan error, 10), s.t.Context().Done()}
	s.server.AddTool(&mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)}, tool.run)
	return tool
}

func (l *slow) run(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	id, _ := keys.IdentityFrom(ctx)
	if l.tells {
		_ = req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: "p", Message: "under way"})
	}
	ended := ctx.Done()
	if !l.heeds {
		ended = nil
		stop := context.AfterFunc(ctx, func() { l.causes <- context.Cause(ctx) })
		defer stop()
	}
	l.began <- id.KeyID()
	select {
	case <-ended:
		l.causes <- context.Cause(ctx)
	case <-l.goOn:
	case <-l.done:
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: slowSecret}}}, nil
}

func (l *slow) wantCause(t *testing.T, want keys.Code) {
	t.Helper()
	select {
	case err := <-l.causes:
		var ended *middleware.EndedError
		if !errors.As(err, &ended) || ended.Code != want {
			t.Errorf("the tool's context ended with %v, want %s", err, want)
		}
	case <-time.After(patience):
		t.Error("the tool's context does not end")
	}
}

// listeners is a server whose resources can be subscribed to.
func listeners() *mcp.ServerOptions {
	return &mcp.ServerOptions{
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	}
}

// opened is an open stream or call of one key.
type opened struct {
	*answer
	session string
	began   bool // something was answered already
	call    bool // which is answered with an error when the key ends
}

// kinds are what a key can hold open. Each function returns when it is open.
var kinds = []struct {
	name    string
	version string
	open    func(s *site, token string) opened
}{
	{"GET stream", legacy, func(s *site, token string) opened {
		id := s.open(token)
		a := s.begin(request{token: token, session: id, version: legacy})
		a.event(": ok")
		return opened{a, id, true, false}
	}},
	{"call in a session", legacy, func(s *site, token string) opened {
		id := s.open(token)
		return opened{s.beginCall(legacy, token, id, "slow"), id, false, true}
	}},
	{"call in a session that tells of progress", legacy, func(s *site, token string) opened {
		id := s.open(token)
		a := s.beginCall(legacy, token, id, "telling")
		a.event("under way")
		return opened{a, id, true, true}
	}},
	{"call without session", modern, func(s *site, token string) opened {
		return opened{s.beginCall(modern, token, "", "slow"), "", false, true}
	}},
	{"call without session that tells of progress", modern, func(s *site, token string) opened {
		a := s.beginCall(modern, token, "", "telling")
		a.event("under way")
		return opened{a, "", true, true}
	}},
	{"subscriptions/listen", modern, func(s *site, token string) opened {
		r := message(modern, "subscriptions/listen", "", `{"notifications":{"resourceSubscriptions":["res://a"]}}`)
		r.token = token
		a := s.begin(r)
		a.event("acknowledged")
		return opened{a, "", true, true}
	}},
}

// beginCall returns when the tool runs.
func (s *site) beginCall(version, token, session, tool string) *answer {
	s.t.Helper()
	r := callOf(version, tool)
	r.token, r.session, r.version = token, session, version
	a := s.begin(r)
	select {
	case <-s.slows[tool].began:
	case <-a.ended:
		s.t.Fatalf("%s: got %v %s, want it to run", tool, a.resp, a.body.String())
	case <-time.After(patience):
		s.t.Fatalf("%s does not run", tool)
	}
	return a
}

// newSlowSite has the tools slow and telling, a quick one, and resources.
func newSlowSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t, listeners(), "quick")
	s.slows = map[string]*slow{"slow": s.slow("slow", true, false), "telling": s.slow("telling", true, true)}
	for _, uri := range []string{"res://a", "res://b"} {
		s.server.AddResource(&mcp.Resource{URI: uri, Name: uri}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			return &mcp.ReadResourceResult{}, nil
		})
	}
	return s
}

var slowScopes = []string{"tools:*", mcpscope.Resource("res://a"), mcpscope.Resource("res://b")}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func soon() time.Time { return now().Add(50 * time.Millisecond) }

// TestWhatIsOpenEndsWithItsKey: a change by another program with the same file ends what the
// key holds open, of any kind and version, and nothing of another key.
func TestWhatIsOpenEndsWithItsKey(t *testing.T) {
	for _, end := range []struct {
		name  string
		alter func(*keys.Key)
		code  keys.Code
	}{
		{"revoked", func(k *keys.Key) { k.RevokedAt = now() }, keys.CodeRevoked},
		{"disabled", func(k *keys.Key) { k.DisabledAt = now() }, keys.CodeDisabled},
		{"narrowed", func(k *keys.Key) { k.Scopes = []string{"tools:quick"} }, keys.CodeInsufficientScope},
		{"expired", func(k *keys.Key) { k.ExpiresAt = soon() }, keys.CodeExpired},
		{"end of a grace", func(k *keys.Key) { k.Secrets[0].ExpiresAt = soon() }, keys.CodeExpired},
	} {
		t.Run(end.name, func(t *testing.T) {
			for _, kind := range kinds {
				if end.code == keys.CodeInsufficientScope && !strings.Contains(kind.name, "call") {
					continue // TestStreamsGoOnWhenTheirKeyIsNarrowed
				}
				t.Run(kind.name, func(t *testing.T) { testEnd(t, kind.version, kind.open, end.alter, end.code) })
			}
		})
	}
}

func testEnd(t *testing.T, version string, open func(*site, string) opened, alter func(*keys.Key), code keys.Code) {
	s := newSlowSite(t)
	token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
	other := s.Granted(slowScopes...)
	mine, theirs := open(s, token), open(s, other)
	s.Elsewhere().Change(id, alter)

	status, body := mine.end()
	if status != http.StatusOK || strings.Contains(body, slowSecret) {
		t.Errorf("what was open: got %d %s, want 200 and no result", status, body)
	}
	if mine.call {
		told := endings[code]
		wantEnding(t, body, 7, told...)
	}
	if strings.Contains(t.Name(), "call") {
		for _, tool := range s.slows {
			if mine.began == tool.tells {
				tool.wantCause(t, code)
			}
		}
	}
	s.wantLines(code, id)

	next := callOf(version, "quick")
	next.token, next.version, next.session = token, version, mine.session
	next.body = strings.Replace(next.body, `"id":7`, `"id":8`, 1) // 7 may still be on its way out
	want := http.StatusUnauthorized
	if code == keys.CodeInsufficientScope {
		want = http.StatusOK // with what is left
	}
	if status, body := s.post(next); status != want {
		t.Errorf("next request: got %d %s, want %d", status, body, want)
	}
	s.wantGoesOn(theirs, other)
}

// wantGoesOn: the stream or call is still open, and completes.
func (s *site) wantGoesOn(o opened, token string) {
	s.t.Helper()
	select {
	case <-o.ended:
		s.t.Fatalf("it ended with %q, want it to go on", o.body.String())
	default:
	}
	if strings.Contains(s.t.Name(), "call") {
		for _, tool := range s.slows {
			close(tool.goOn)
		}
		if status, body := o.end(); status != http.StatusOK || !strings.Contains(body, slowSecret) {
			s.t.Errorf("the call: got %d %s, want its result", status, body)
		}
		return
	}
	if o.session != "" {
		s.subscribe(token, o.session, "res://a")
	}
	s.updated("res://a")
	o.event("res://a")
}

func (s *site) subscribe(token, session, uri string) {
	s.t.Helper()
	r := message(legacy, "resources/subscribe", "", fmt.Sprintf(`{"uri":%q}`, uri))
	r.token, r.session = token, session
	if status, body := s.post(r); status != http.StatusOK || strings.Contains(body, "error") {
		s.t.Fatalf("subscribe: got %d %s", status, body)
	}
}

func (s *site) updated(uri string) {
	s.t.Helper()
	if err := s.server.ResourceUpdated(s.t.Context(), &mcp.ResourceUpdatedNotificationParams{URI: uri}); err != nil {
		s.t.Fatal(err)
	}
}

// wantLines: the log says once for each request what ended and why.
func (s *site) wantLines(code keys.Code, keyID string) {
	s.t.Helper()
	requests := map[string]bool{}
	for line := range strings.Lines(s.log.String()) {
		var told struct {
			Msg       string    `json:"msg"`
			Code      keys.Code `json:"code"`
			KeyID     string    `json:"key_id"`
			RequestID string    `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(line), &told); err != nil {
			s.t.Fatal(err)
		}
		if told.Msg != "held request ended" {
			continue
		}
		if told.Code != code || told.KeyID != keyID || told.RequestID == "" || requests[told.RequestID] {
			s.t.Errorf("log: got %s, want code %s, key %s and a request id, once", line, code, keyID)
		}
		requests[told.RequestID] = true
	}
	if len(requests) == 0 || len(requests) > 2 {
		s.t.Errorf("log: got ends of %d requests, want that of what was open and perhaps of its session:\n%s", len(requests), s.log.String())
	}
}

// TestChangesThatTakeNothing: open streams and calls continue when their key is renamed or
// granted more.
func TestChangesThatTakeNothing(t *testing.T) {
	for name, alter := range map[string]func(*keys.Key){
		"renamed": func(k *keys.Key) { k.Name = "other" },
		"widened": func(k *keys.Key) { k.Scopes = append(k.Scopes, "prompts:*") },
	} {
		for _, kind := range kinds {
			t.Run(fmt.Sprintf("%s %s", name, kind.name), func(t *testing.T) {
				s := newSlowSite(t)
				token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
				o := kind.open(s, token)
				told := make(chan struct{}, 1)
				defer s.Verifier().OnChange(id, func() { told <- struct{}{} })()
				s.Elsewhere().Change(id, alter)
				<-told // and so were the holds, which are older
				s.wantGoesOn(o, token)
			})
		}
	}
}
