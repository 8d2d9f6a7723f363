package guardproxy_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/guardproxy"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
)

const (
	legacy = "2025-11-25"
	modern = "2026-07-28"
	within = time.Minute // for a condition
)

// A test that needs an MCP server on standard input and output starts this binary again.
const roleVar = "GUARDPROXY_TEST_ROLE"

// binary is a copy of this test that every user may run.
var binary string

func TestMain(m *testing.M) {
	if os.Getenv(roleVar) != "" {
		puppet(os.Getenv(roleVar) == "stubborn")
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "guardproxy")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "server")
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		panic(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(binary, text, 0o755), os.Chmod(binary, 0o755)); err != nil {
		panic(err)
	}
	return m.Run()
}

// puppet is an MCP server in both eras. The tool pid answers its process, and slow answers when
// its file exists.
func puppet(stubborn bool) {
	if stubborn {
		signal.Ignore(syscall.SIGTERM)
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var m struct {
			ID     json.RawMessage
			Method string
			Params struct {
				Name      string
				Arguments struct{ File string }
			}
		}
		_ = json.Unmarshal(in.Bytes(), &m)
		result := "{}"
		switch m.Method {
		case "initialize":
			result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"puppet","version":"1"}}`
		case "server/discover":
			result = `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}`
		case "tools/list":
			if os.Getenv(roleVar) == "asking" { // a client must answer first
				fmt.Println(`{"jsonrpc":"2.0","id":"q","method":"roots/list"}`)
				in.Scan()
			}
			result = `{"tools":[{"name":"pid","inputSchema":{"type":"object"}},{"name":"slow","inputSchema":{"type":"object"}}]}`
		case "tools/call":
			for m.Params.Name == "slow" {
				if _, err := os.Stat(m.Params.Arguments.File); err == nil {
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
			result = `{"content":[{"type":"text","text":"` + strconv.Itoa(os.Getpid()) + `"}]}`
		}
		if m.ID != nil {
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":%s}`+"\n", m.ID, result)
		}
	}
	if stubborn {
		select {}
	}
}

// command is the puppet as a configured server.
func command(role string) guardproxy.Server {
	s := guardproxy.Server{Audience: guardtest.Audience, Command: []string{binary}, Dir: "/", Env: []string{roleVar + "=" + role}}
	if os.Geteuid() == 0 {
		s.User = "nobody"
	} else {
		s.SameUser = true
	}
	return s
}

// rig is a running guard over a real key store.
type rig struct {
	*guardtest.Keyring
	t      *testing.T
	url    string // without a path
	log    guardtest.Buffer
	reload chan struct{}
	stop   func() error // ends the guard, once
}

func options(k *guardtest.Keyring, s *guardproxy.Server) guardproxy.Options {
	o := guardproxy.Options{Server: s, Keys: guardproxy.Keys{DB: k.Path()}}
	o.Listen = "127.0.0.1:0"
	return o
}

func newRig(t *testing.T, s *guardproxy.Server, change ...func(*guardproxy.Options)) *rig {
	t.Helper()
	r := &rig{Keyring: guardtest.NewKeyring(t), t: t, reload: make(chan struct{}, 1)}
	o := options(r.Keyring, s)
	o.Logger, o.Reload = guardtest.Logger(&r.log), r.reload
	for _, c := range change {
		c(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- guardproxy.Run(ctx, o) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	listening := regexp.MustCompile(`"url":"(http://[^/"]+)`)
	eventually(t, "the guard listens", func() bool {
		found := listening.FindStringSubmatch(r.log.String())
		if found != nil {
			r.url = found[1]
		}
		return found != nil || len(ended) > 0
	})
	if r.url == "" {
		t.Fatalf("the guard ended: %v", <-ended)
	}
	return r
}

// withConfig lets the guard read a file that set writes.
func withConfig(t *testing.T) (set func(format string, args ...any), change func(*guardproxy.Options)) {
	path := filepath.Join(t.TempDir(), "guard.json")
	set = func(format string, args ...any) {
		t.Helper()
		if err := os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return set, func(o *guardproxy.Options) { o.Server, o.Config = nil, path }
}

// reloaded tells the guard to read its file, and waits for n lines with the text.
func (r *rig) reloaded(text string, n int) {
	r.t.Helper()
	r.reload <- struct{}{}
	r.logs(text, n)
}

func (r *rig) logs(text string, n int) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%d lines with %q in the log", n, text), func() bool { return strings.Count(r.log.String(), text) >= n })
}

// client is a caller with a secret, and with a session in the older era.
type client struct {
	*rig
	path, secret, version, session string
	header                         http.Header
}

func (r *rig) client(secret, version string) *client {
	return &client{rig: r, path: "/mcp", secret: secret, version: version}
}

func (c *client) request(method, body string) *http.Request {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+c.path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header = http.Header{
		"Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer " + c.secret}, "Mcp-Protocol-Version": {c.version},
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	return req
}

func (c *client) do(req *http.Request) (*http.Response, string) {
	c.t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp, string(body)
}

// initialize opens a session. The newer era has none.
func (c *client) initialize() *client {
	c.t.Helper()
	if c.version == modern {
		return c
	}
	resp, body := c.do(c.request(http.MethodPost, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`))
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("initialize: %s %s\n%s", resp.Status, body, c.log.String())
	}
	c.session = resp.Header.Get("Mcp-Session-Id")
	return c
}

// callOf is a call of a tool.
func (c *client) callOf(tool, file string) *http.Request {
	meta := ""
	if c.version == modern {
		meta = `,"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modern + `","io.modelcontextprotocol/clientCapabilities":{}}`
	}
	req := c.request(http.MethodPost, fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":%q,"arguments":{"file":%q}%s}}`, tool, file, meta))
	if c.version == modern {
		req.Header.Set("Mcp-Method", "tools/call")
		req.Header.Set("Mcp-Name", tool)
	}
	return req
}

func (c *client) call(tool string) (status int, body string) {
	c.t.Helper()
	resp, body := c.do(c.callOf(tool, ""))
	return resp.StatusCode, body
}

var pidPattern = regexp.MustCompile(`"text":"([0-9]+)"`)

// pid is the process that answers the client.
func (c *client) pid() string {
	c.t.Helper()
	status, body := c.call("pid")
	found := pidPattern.FindStringSubmatch(body)
	if found == nil {
		c.t.Fatalf("the tool pid: %d %s\n%s", status, body, c.log.String())
	}
	return found[1]
}

// get returns the status of a probe.
func (r *rig) get(path string) int {
	r.t.Helper()
	resp, err := http.Get(r.url + path)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(within); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// running reports whether a process exists and is not a zombie.
func running(pid string) bool {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !bytes.Contains(text[bytes.LastIndexByte(text, ')'):], []byte(") Z"))
}

// upstream is a small MCP server over HTTP that keeps the last request.
type upstream struct {
	*httptest.Server
	mu     sync.Mutex
	last   *http.Request
	answer func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
}

func newUpstream(t *testing.T) *upstream {
	u := &upstream{}
	u.Server = httptest.NewServer(u)
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	u.mu.Lock()
	u.last = r
	answer := u.answer
	u.mu.Unlock()
	if answer != nil && answer(w, r) {
		return
	}
	var m struct{ ID json.RawMessage }
	_ = json.Unmarshal(body, &m)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("WWW-Authenticate", "Bearer realm=upstream")
	if bytes.Contains(body, []byte(`"initialize"`)) {
		w.Header().Set("Mcp-Session-Id", "s-"+strconv.Itoa(int(time.Now().UnixNano())))
	}
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"content":[]}}`, m.ID)
}

func (u *upstream) answers(f func(w http.ResponseWriter, r *http.Request) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = f
}

func (u *upstream) got() http.Header {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		return nil
	}
	return u.last.Header
}

// server is the upstream as a configured server.
func (u *upstream) server() *guardproxy.Server {
	return &guardproxy.Server{Audience: guardtest.Audience, Upstream: u.URL + "/mcp"}
}

// wantInvalid wants an error for a field, with a text.
func wantInvalid(t *testing.T, what string, err error, field, text string) {
	t.Helper()
	fault := (*keys.InvalidError)(nil)
	if !errors.As(err, &fault) || fault.Field != field || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: got %v, want %s: …%s…", what, err, field, text)
	}
}
