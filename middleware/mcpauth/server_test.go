package mcpauth_test

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

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
)

const (
	legacy = "2025-11-25"
	modern = "2026-07-28"
)

var eras = []string{legacy, modern}

// call is what a tool saw of one call.
type call struct {
	tool   string
	caller *keys.Identity
	header http.Header
}

// site is a guarded MCP server over HTTP, with the calls that reached its tools.
type site struct {
	*guardtest.Keyring
	t       testing.TB
	url     string
	handler http.Handler
	server  *mcp.Server

	mu    sync.Mutex
	calls []call
	log   guardtest.Buffer
	slows map[string]*slow
}

// newSite serves the named tools. More features can be added before the first request.
func newSite(t testing.TB, o *mcp.ServerOptions, tools ...string) *site {
	t.Helper()
	s := &site{Keyring: guardtest.NewKeyring(t), t: t}
	s.server = mcp.NewServer(&mcp.Implementation{Name: "site"}, o)
	for _, name := range tools {
		s.tool(name)
	}
	s.serve(nil)
	return s
}

// serve serves a guarded server at a new URL.
func (s *site) serve(o *mcpauth.Options) {
	s.t.Helper()
	mux := http.NewServeMux()
	guard := s.Guard(&middleware.Options{Logger: guardtest.Logger(&s.log)})
	s.handler = mcpauth.Handler(guard, s.server, o)
	mux.Handle("/mcp", s.handler)
	mux.Handle("/", mcpauth.NotFound(guard))
	srv := httptest.NewServer(mux)
	s.t.Cleanup(srv.Close)
	s.url = srv.URL + "/mcp"
}

func (s *site) tool(name string) {
	s.server.AddTool(&mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)}, s.run)
}

func (s *site) run(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	id, _ := keys.IdentityFrom(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call{req.Params.Name, id, req.Extra.Header.Clone()})
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "ran " + req.Params.Name + " for " + id.Name()}}}, nil
}

// ran returns the calls that reached tools, and clears them.
func (s *site) ran() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// connect opens a session of the real client.
func (s *site) connect(version, token string) (*mcp.ClientSession, error) {
	s.t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "client"}, nil)
	session, err := client.Connect(s.t.Context(), &mcp.StreamableClientTransport{
		Endpoint: s.url, MaxRetries: -1, DisableStandaloneSSE: true,
		HTTPClient: &http.Client{Transport: withKey(token)},
	}, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err == nil {
		s.t.Cleanup(func() { _ = session.Close() })
	}
	return session, err
}

func (s *site) mustConnect(version, token string) *mcp.ClientSession {
	s.t.Helper()
	session, err := s.connect(version, token)
	if err != nil {
		s.t.Fatalf("Connect in era %s: %v", version, err)
	}
	if got := session.InitializeResult().ProtocolVersion; got != version {
		s.t.Fatalf("protocol version: got %s, want %s", got, version)
	}
	return session
}

// withKey sends a key with each request, as any client's static header would.
type withKey string

func (k withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if k != "" {
		r.Header.Set("Authorization", "Bearer "+string(k))
	}
	return http.DefaultTransport.RoundTrip(r)
}

// request is one raw POST of a JSON-RPC message.
type request struct {
	token   string
	session string
	version string // of the header; the body gets its own in params
	headers []string
	body    string
}

// message renders a call; the newer versions repeat the version in each one.
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

// post sends r and returns the status and the body.
func (s *site) post(r request) (int, string) {
	s.t.Helper()
	resp, body := s.do(r)
	return resp.StatusCode, body
}

func (s *site) do(r request) (*http.Response, string) {
	s.t.Helper()
	resp := s.stream(r)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("read answer: %v", err)
	}
	return resp, string(body)
}

// stream sends r and returns the answer before its body is read.
func (s *site) stream(r request) *http.Response {
	s.t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(s.request(http.MethodPost, r))
	if err != nil {
		s.t.Fatalf("POST: %v", err)
	}
	return resp
}

// request makes the HTTP request that r describes.
func (s *site) request(method string, r request) *http.Request {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url, strings.NewReader(r.body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
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
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	return req
}

// open initializes a legacy session by hand and returns its id.
func (s *site) open(token string) string {
	s.t.Helper()
	resp, body := s.do(request{token: token, body: `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + legacy + `","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`})
	id := resp.Header.Get("Mcp-Session-Id")
	if resp.StatusCode != http.StatusOK || id == "" {
		s.t.Fatalf("initialize: got %d %s", resp.StatusCode, body)
	}
	s.post(request{token: token, session: id, version: legacy, body: `{"jsonrpc":"2.0","method":"notifications/initialized"}`})
	return id
}

// send posts r as token in the version: in a new session if the version has sessions.
func (s *site) send(version, token string, r request) (int, string) {
	s.t.Helper()
	r.token, r.version = token, version
	if version < modern {
		r.session = s.open(token)
	}
	return s.post(r)
}
