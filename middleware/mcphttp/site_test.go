package mcphttp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcphttp"
)

const (
	legacy = "2025-11-25"
	modern = "2026-07-28"
)

var eras = []string{legacy, modern}

// seen is one request that reached the server behind the guard.
type seen struct {
	method string
	header http.Header
	body   string
	caller *keys.Identity
}

// site is a guarded endpoint, with the requests that reached the server behind it.
type site struct {
	*guardtest.Keyring
	t   testing.TB
	url string
	log guardtest.Buffer

	mu     sync.Mutex
	saw    []seen
	next   http.Handler // that of now, instead of the first one
	secret string       // of a key, where one is enough
}

// newSite guards next.
func newSite(t testing.TB, next http.Handler, o *mcphttp.Options) *site {
	t.Helper()
	s := &site{Keyring: guardtest.NewKeyring(t), t: t}
	guard := s.Guard(&middleware.Options{Logger: guardtest.Logger(&s.log)})
	mux := http.NewServeMux()
	mux.Handle("/mcp", mcphttp.Handler(guard, s.record(next), o))
	mux.Handle("/", mcphttp.NotFound(guard))
	s.serve(mux)
	return s
}

func (s *site) serve(h http.Handler) {
	srv := httptest.NewServer(h)
	s.t.Cleanup(srv.Close)
	s.url = srv.URL + "/mcp"
}

// turnTo has h serve from now on, also sessions that end beside the test.
func (s *site) turnTo(h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = h
}

func (s *site) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id, _ := keys.IdentityFrom(r.Context())
		if int64(len(body)) != r.ContentLength {
			s.t.Errorf("Content-Length: got %d for %d bytes", r.ContentLength, len(body))
		}
		s.mu.Lock()
		s.saw = append(s.saw, seen{r.Method, r.Header.Clone(), string(body), id})
		next := next
		if s.next != nil {
			next, s.saw = s.next, nil
		}
		s.mu.Unlock()
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		next.ServeHTTP(w, r)
	})
}

// reached returns the requests that reached the server, and clears them.
func (s *site) reached() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	saw := s.saw
	s.saw = nil
	return saw
}

// sdk serves a server made with the SDK in both protocol versions.
func sdk(server *mcp.Server, o mcp.StreamableHTTPOptions) http.Handler {
	get := func(*http.Request) *mcp.Server { return server }
	o.DisableLocalhostProtection = true
	stateful := mcp.NewStreamableHTTPHandler(get, &o)
	without := o
	without.Stateless, without.EventStore = true, nil
	stateless := mcp.NewStreamableHTTPHandler(get, &without)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Session-Id") == "" && r.Header.Get("Mcp-Protocol-Version") >= modern {
			stateless.ServeHTTP(w, r)
			return
		}
		stateful.ServeHTTP(w, r)
	})
}

// toolbox is a server with the named tools, which say their name.
func toolbox(o *mcp.ServerOptions, tools ...string) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "toolbox"}, o)
	for _, name := range tools {
		server.AddTool(&mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)},
			func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "ran " + name}}}, nil
			})
	}
	return server
}

// connect opens a session of the SDK's client.
func (s *site) connect(version, token string, o *mcp.ClientOptions) (*mcp.ClientSession, error) {
	s.t.Helper()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "client"}, o).Connect(s.t.Context(), &mcp.StreamableClientTransport{
		Endpoint: s.url, MaxRetries: -1, HTTPClient: &http.Client{Transport: withKey(token)},
	}, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err == nil {
		s.t.Cleanup(func() { _ = session.Close() })
	}
	return session, err
}

func (s *site) mustConnect(version, token string, o *mcp.ClientOptions) *mcp.ClientSession {
	s.t.Helper()
	session, err := s.connect(version, token, o)
	if err != nil {
		s.t.Fatalf("Connect in era %s: %v\n%s", version, err, s.log.String())
	}
	return session
}

// withKey sends a key with each request.
type withKey string

func (k withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(k))
	return http.DefaultTransport.RoundTrip(r)
}

// request is one raw request. Without a verb it is a POST.
type request struct {
	verb, token, session, version string
	headers                       []string
	body                          string
}

// message renders a call; the newer version repeats the version in each one.
func message(version, method, name, params string) request {
	r := request{version: version}
	if version >= modern {
		params = strings.TrimSuffix(params, "}")
		if params != "{" {
			params += ","
		}
		params += `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + version + `","io.modelcontextprotocol/clientCapabilities":{}}}`
		r.headers = []string{"Mcp-Method: " + method}
		if name != "" {
			r.headers = append(r.headers, "Mcp-Name: "+name)
		}
	}
	r.body = fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":%q,"params":%s}`, method, params)
	return r
}

func callOf(version, tool string) request {
	return message(version, "tools/call", tool, fmt.Sprintf(`{"name":%q,"arguments":{}}`, tool))
}

func (s *site) request(r request) *http.Request {
	s.t.Helper()
	if r.verb == "" {
		r.verb = http.MethodPost
	}
	req, err := http.NewRequestWithContext(s.t.Context(), r.verb, s.url, strings.NewReader(r.body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	if r.verb == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range map[string]string{"Mcp-Protocol-Version": r.version, "Mcp-Session-Id": r.session} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	for _, line := range r.headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header[name] = append(req.Header[name], value)
		if name == "Content-Type" || name == "Accept" {
			req.Header[name] = []string{value}
		}
	}
	return req
}

// stream sends r and returns the answer before its body is read.
func (s *site) stream(r request) *http.Response {
	s.t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(s.request(r))
	if err != nil {
		s.t.Fatalf("%s: %v", r.verb, err)
	}
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func (s *site) do(r request) (*http.Response, string) {
	s.t.Helper()
	resp := s.stream(r)
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("read answer: %v", err)
	}
	return resp, string(body)
}

func (s *site) post(r request) (int, string) {
	s.t.Helper()
	resp, body := s.do(r)
	return resp.StatusCode, body
}

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + legacy + `","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`

// open initializes a session by hand and returns its id.
func (s *site) open(token string) string {
	s.t.Helper()
	resp, body := s.do(request{token: token, body: initialize})
	id := resp.Header.Get("Mcp-Session-Id")
	if resp.StatusCode != http.StatusOK || id == "" {
		s.t.Fatalf("initialize: got %d %s\n%s", resp.StatusCode, body, s.log.String())
	}
	s.post(request{token: token, session: id, version: legacy, body: `{"jsonrpc":"2.0","method":"notifications/initialized"}`})
	s.reached()
	return id
}

// until waits for a condition.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}
