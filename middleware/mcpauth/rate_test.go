package mcpauth_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
)

// perDay is a limit that does not refill while a test runs.
func perDay(n int) keys.RateLimit { return keys.RateLimit{Count: n, Window: 24 * time.Hour, Burst: n} }

// limited issues a key for n calls a day.
func (s *site) limited(n int, scopes ...string) string {
	s.t.Helper()
	token, _ := s.Issue(admin.IssueRequest{Scopes: scopes, RateLimit: perDay(n)})
	return token
}

// batch is one request with n calls of the tool.
func arrayOf(tool string, n int) string {
	calls := make([]string, n)
	for i := range calls {
		calls[i] = fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":{}}}`, i+100, tool)
	}
	return "[" + strings.Join(calls, ",") + "]"
}

// Attack C1: a limit that counts requests lets 2,000 calls through in one of them. Exactly five
// calls pass a limit of five, however they are framed, and handshakes do not count.
func TestC1ExactlyFiveCallsPass(t *testing.T) {
	for name, send := range map[string]func(s *site, token string){
		"one by one in a session": func(s *site, token string) {
			session := s.open(token)
			for range 12 {
				r := callOf(legacy, "add")
				r.token, r.session = token, session
				s.post(r)
			}
		},
		"each in a session of its own": func(s *site, token string) {
			for range 8 {
				s.send(legacy, token, callOf(legacy, "add"))
			}
		},
		"without sessions": func(s *site, token string) {
			for range 12 {
				s.send(modern, token, callOf(modern, "add"))
			}
		},
		"batches in a session": func(s *site, token string) {
			session := s.open(token)
			for _, n := range []int{3, 16, 16} {
				s.post(request{token: token, session: session, body: arrayOf("add", n)})
			}
		},
		"a batch that says the oldest version": func(s *site, token string) {
			s.post(request{token: token, session: s.open(token), version: "2025-03-26", body: arrayOf("add", 16)})
		},
		"the real client, many at once": func(s *site, token string) {
			for _, version := range eras {
				session := s.mustConnect(version, token)
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() { _, _ = session.CallTool(s.t.Context(), &mcp.CallToolParams{Name: "add"}) })
				}
				wg.Wait()
			}
		},
		"pipelined on one connection": pipelined,
		"over HTTP/2":                 overHTTP2,
		"behind two handlers": func(s *site, token string) {
			mcpauth.Handler(s.Guard(nil), s.server, nil)
			s.send(modern, token, callOf(modern, "add"))
			s.post(request{token: token, session: s.open(token), body: arrayOf("add", 16)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil, "add")
			send(s, s.limited(5, "tools:*"))
			if n := len(s.ran()); n != 5 {
				t.Errorf("calls that ran: got %d, want 5", n)
			}
		})
	}
}

func pipelined(s *site, token string) {
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(strings.TrimSuffix(s.url, "/mcp"), "http://"), time.Minute)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	var all bytes.Buffer
	var sent []*http.Request
	for range 12 {
		r := callOf(modern, "add")
		r.token, r.version = token, modern
		req := s.request(http.MethodPost, r)
		if err := req.Write(&all); err != nil {
			s.t.Fatal(err)
		}
		sent = append(sent, req)
	}
	if _, err := all.WriteTo(conn); err != nil {
		s.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for _, req := range sent {
		resp, err := http.ReadResponse(in, req)
		if err != nil {
			s.t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
}

func overHTTP2(s *site, token string) {
	srv := httptest.NewUnstartedServer(s.handler)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	s.url = srv.URL
	var wg sync.WaitGroup
	for range 12 {
		r := callOf(modern, "add")
		r.token, r.version = token, modern
		req := s.request(http.MethodPost, r)
		wg.Go(func() {
			resp, err := srv.Client().Do(req)
			if err != nil || resp.ProtoMajor != 2 {
				s.t.Errorf("POST over HTTP/2: %v, %v", resp, err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		})
	}
	wg.Wait()
}

// Calls are tools, prompts and resources, granted or not. Everything else does not count.
func TestWhatIsACall(t *testing.T) {
	for _, version := range eras {
		s := furnished(t, "public", "payroll")
		token := s.limited(8, publicOnly...)
		session := ""
		if version < modern {
			session = s.open(token)
		}
		send := func(r request) (int, string) {
			r.token, r.version, r.session = token, version, session
			return s.post(r)
		}
		for range 3 {
			for _, method := range []string{"tools/list", "prompts/list", "resources/list", "resources/templates/list"} {
				if status, body := send(message(version, method, "", "{}")); status != http.StatusOK || strings.Contains(body, `"error"`) {
					t.Fatalf("%s: %s takes a call: got %d %s", version, method, status, body)
				}
			}
		}
		for _, name := range []string{"public", "payroll"} { // four calls each, and completions, which are not calls
			for what, r := range uses(version, name) {
				if _, body := send(r); strings.Contains(body, "rate_limited") {
					t.Errorf("%s: %s of %s: got %s, want it within the limit of 8", version, what, name, body)
				}
			}
		}
		for _, r := range []request{callOf(version, "public"), callOf(version, "payroll")} {
			if _, body := send(r); !strings.Contains(body, "rate_limited") {
				t.Errorf("%s: the ninth call: got %s, want it refused", version, body)
			}
		}
	}
}

// A call over the limit gets one error, whose text a model can follow.
func TestCallOverTheLimitIsTold(t *testing.T) {
	for _, version := range eras {
		s := newSite(t, nil, "add")
		token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:*"}, RateLimit: keys.RateLimit{Count: 1, Window: time.Hour, Burst: 1}})
		s.send(version, token, callOf(version, "add"))
		status, body := s.send(version, token, callOf(version, "add"))
		var answer struct {
			ID    int
			Error struct {
				Code    int
				Message string
				Data    struct {
					Code       string
					RetryAfter int `json:"retry_after"`
				}
			}
		}
		_, data, _ := strings.Cut(body, "data: ")
		if err := json.Unmarshal([]byte(data), &answer); err != nil || status != http.StatusOK {
			t.Fatalf("%s: got %d %s: %v", version, status, body, err)
		}
		e := answer.Error
		want := fmt.Sprintf("Too many calls with this API key. Try again in %d seconds.", e.Data.RetryAfter)
		if answer.ID != 7 || e.Code != mcpauth.CodeRateLimited || e.Data.Code != "rate_limited" || e.Data.RetryAfter < 3000 || e.Message != want {
			t.Errorf("%s: got %s, want code %d, its data and %q", version, body, mcpauth.CodeRateLimited, want)
		}
		if line := s.log.String(); !strings.Contains(line, `"code":"rate_limited"`) || !strings.Contains(line, `"asked":"tools:add"`) || !strings.Contains(line, id) {
			t.Errorf("%s: log: got %q", version, line)
		}
		if got := s.Counted()["rate_limited"]; got != 1 {
			t.Errorf("%s: rate_limited in the usage: got %d, want 1", version, got)
		}
	}
}

// If a guard already wraps the server, a request is a call, and only its further calls are
// counted in addition.
func TestRequireAroundHandlerChargesACallOnce(t *testing.T) {
	s := newSite(t, nil, "add")
	guard := s.Guard(nil)
	srv := httptest.NewServer(guard.Require()(mcpauth.Handler(guard, s.server, nil)))
	t.Cleanup(srv.Close)
	s.url = srv.URL
	token := s.limited(5, "tools:*")
	for range 3 {
		s.send(modern, token, callOf(modern, "add"))
	}
	s.send(modern, token, message(modern, "tools/list", "", "{}"))
	for range 3 {
		s.send(modern, token, callOf(modern, "add"))
	}
	if n := len(s.ran()); n != 4 {
		t.Errorf("calls that ran beside one list: got %d, want 4 of 5", n)
	}
}

// Cost is the cost of each call within the request.
func TestCostIsThatOfEachCall(t *testing.T) {
	s := newSite(t, nil, "add")
	srv := httptest.NewServer(mcpauth.Handler(s.Guard(&middleware.Options{Cost: func(*http.Request) int { return 2 }}), s.server, nil))
	t.Cleanup(srv.Close)
	s.url = srv.URL
	token := s.limited(10, "tools:*")
	s.post(request{token: token, session: s.open(token), body: arrayOf("add", 16)})
	if n := len(s.ran()); n != 5 {
		t.Errorf("calls of cost 2 under 10: got %d, want 5", n)
	}
}

// unread fails the test if it is read, and never ends.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.ErrUnexpectedEOF
}

// A flood of requests without calls ends at the second limit, before a body is read.
func TestRequestsAreLimitedBeforeTheirBody(t *testing.T) {
	s := newSite(t, nil, "add")
	token := s.limited(5, "tools:*")
	ping := message(modern, "tools/list", "", "{}")
	for i := range 60 {
		if status, body := s.send(modern, token, ping); status != http.StatusOK {
			t.Fatalf("request %d: got %d %s, want 200", i+1, status, body)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		r := httptest.NewRequestWithContext(t.Context(), method, "/mcp", unread{t})
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" || w.Header().Get("Ratelimit-Policy") != `"requests";q=60;w=60` ||
			!strings.Contains(w.Body.String(), "Too many calls with this API key. Try again in 1 second.") {
			t.Errorf("%s 61: got %d %v %s, want 429 and when to come back", method, w.Code, w.Header(), w.Body)
		}
	}
}

// endless is a batch that never ends.
type endless struct {
	read    int
	element string
}

func (e *endless) Read(p []byte) (int, error) {
	if e.read == 0 {
		e.read++
		p[0] = '['
		return 1, nil
	}
	n := copy(p, e.element+",")
	e.read += n
	return n, nil
}

// Attack C1: 50,000 calls in one batch, which the SDK would turn into half a gigabyte before
// any middleware. Nothing is parsed, and hardly anything read, whatever the request says about
// its version, its length or its session.
func TestC1LargeBatchesAreNotParsed(t *testing.T) {
	s := newSite(t, nil, "add")
	token := s.Granted("tools:*")
	sessions := map[string]string{"in a session": s.open(token), "without": "", "in an unknown one": "MADEUP"}
	refused := map[string]int{"MADEUP": http.StatusNotFound} // for its session, before its body
	for _, version := range []string{"", "2025-03-26", legacy, modern, "2099-01-01"} {
		for where, session := range sessions {
			if status, body := s.post(request{token: token, session: session, version: version, body: " \r\n\t" + arrayOf("add", 50_000)}); status != cmp.Or(refused[session], http.StatusBadRequest) || status == http.StatusBadRequest && !strings.Contains(body, "batch_too_large") {
				t.Errorf("version %q, %s: got %d %.200s, want 400 batch_too_large, or 404", version, where, status, body)
			}
			body := &endless{element: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","x":"],\"[{"}}`}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/mcp", body)
			for name, value := range map[string]string{
				"Authorization": "Bearer " + token, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
				"Mcp-Protocol-Version": version, "Mcp-Session-Id": session,
			} {
				if value != "" {
					r.Header.Set(name, value)
				}
			}
			if got := guardtest.StatusOf(s.handler, r); got != cmp.Or(refused[session], http.StatusBadRequest) || body.read > 64<<10 {
				t.Errorf("endless batch of version %q, %s: got %d after %d bytes, want 400 or 404 after a few", version, where, got, body.read)
			}
		}
	}
	if n := len(s.ran()); n != 0 {
		t.Errorf("calls that ran: got %d, want none", n)
	}
	if line := s.log.String(); !strings.Contains(line, `"code":"batch_too_large"`) || !strings.Contains(line, `"proved":true`) {
		t.Errorf("log: got %.300q, want the refusal and that the key was proved", line)
	}
}

// Sixteen pass, and commas within messages do not count.
func TestBatchOfSixteenPasses(t *testing.T) {
	s := newSite(t, nil, "add")
	token := s.Granted("tools:*")
	for n, want := range map[int]int{1: 1, 16: 16, 17: 0} {
		body := strings.ReplaceAll(arrayOf("add", n), `"arguments":{}`, `"arguments":{"x":[1,2,3],"y":"\\\",],[","z":{"a":[{},{}],"b":1}}`)
		s.post(request{token: token, session: s.open(token), body: body})
		if got := len(s.ran()); got != want {
			t.Errorf("a batch of %d: %d ran, want %d", n, got, want)
		}
	}
}

// A resumed stream repeats what was answered, and calls nothing.
func TestResumedStreamCallsNothing(t *testing.T) {
	s := newSite(t, nil, "add")
	s.serve(&mcpauth.Options{HTTP: &mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)}})
	token := s.limited(5, "tools:*")
	session := s.open(token)
	for range 6 {
		r := callOf(legacy, "add")
		r.token, r.session, r.version = token, session, legacy
		_, answer := s.post(r)
		_, id, found := strings.Cut(answer, "id: ")
		if !found {
			t.Fatalf("no event id in %q", answer)
		}
		id, _, _ = strings.Cut(id, "\n")
		for range 2 {
			get := s.request(http.MethodGet, request{token: token, session: session, version: legacy, headers: []string{"Last-Event-ID: " + id}})
			resp, err := http.DefaultTransport.RoundTrip(get)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("resume: got %d, want 200", resp.StatusCode)
			}
		}
	}
	if n := len(s.ran()); n != 5 {
		t.Errorf("calls that ran: got %d, want 5", n)
	}
}

// A refused call is recorded with everything that is known about the caller: that the key was
// proved, from where, with what program, and which scope was needed.
func TestD1DeniedCallIsRecordedWithItsCaller(t *testing.T) {
	for _, version := range eras {
		s := newSite(t, nil, "add")
		token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:other"}})
		r := callOf(version, "add")
		r.headers = append(r.headers, "User-Agent: caller/1 (x)")
		s.send(version, token, r)
		for _, want := range []string{`"code":"insufficient_scope"`, id, `"proved":true`, `"remote_ip":"127.0.0.1"`, `"scope":"tools:add"`, `"method":"tools/call"`} {
			if !strings.Contains(s.log.String(), want) {
				t.Errorf("%s: log: got %q, want %s in it", version, s.log.String(), want)
			}
		}
		list := s.Denials()
		if len(list) != 1 {
			t.Fatalf("%s: denials: got %+v, want one", version, list)
		}
		d := list[0]
		if d.Code != keys.CodeInsufficientScope || d.KeyID != id || !d.Proved || d.Source.String() != "127.0.0.1/32" || d.Audience != guardtest.Audience || d.Scope != "tools:add" || d.Agent != "caller/1" {
			t.Errorf("%s: denial: got %+v, want all that is known of the caller", version, d)
		}
	}
}

// Attack: a caller invents tool names, to fill the memory with denials, or to have a key stored
// in one.
func TestDenialsOfInventedNamesAreBounded(t *testing.T) {
	s := newSite(t, nil, "add")
	token := s.Granted("tools:other")
	s.send(legacy, token, callOf(legacy, "x"+token))
	for i := range 40 {
		s.send(modern, token, callOf(modern, fmt.Sprint("invented_", i)))
	}
	list := s.Denials()
	var calls int64
	for _, d := range list {
		calls += d.Calls
		if strings.Contains(d.Scope, token[5:]) {
			t.Error("a denial holds the key")
		}
	}
	if calls != 41 || len(list) > 2*18 { // if a new minute begins
		t.Errorf("got %d rows of %d calls, want some 17 of 41", len(list), calls)
	}
}
