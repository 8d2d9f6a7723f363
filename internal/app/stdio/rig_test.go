//go:build linux

package stdio_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/stdio"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/mcpkeystest"
)

const within = 30 * time.Second // no test waits longer

// A rig is a guarded Backend whose MCP server is this test binary in a role.
type rig struct {
	t       *testing.T
	backend *stdio.Backend
	url     string
	keys    *mcpkeystest.Keys
	log     *guardtest.Buffer
}

func newRig(t *testing.T, role string, change ...func(*stdio.Options)) *rig {
	t.Helper()
	log := &guardtest.Buffer{}
	o := stdio.Options{
		Command: []string{binary}, Dir: "/", Env: []string{roleVar + "=" + role},
		Logger: slog.New(slog.NewTextHandler(log, nil)), StopGrace: time.Second,
	}
	asUser(&o)
	for _, c := range change {
		c(&o)
	}
	b, err := stdio.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	k := mcpkeystest.New()
	srv := httptest.NewServer(k.Guard(nil).Require()(b))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		if err := b.Close(ctx, "the test ends"); err != nil {
			t.Errorf("Close: %v", err)
		}
		srv.Close()
		_ = k.Close()
	})
	return &rig{t: t, backend: b, url: srv.URL, keys: k, log: log}
}

// asUser runs the MCP server with fewer rights than root has.
func asUser(o *stdio.Options) {
	if os.Geteuid() == 0 {
		o.User = "nobody"
	} else {
		o.SameUser = true
	}
}

// A client sends requests with a key, and within a session once it is initialized.
type client struct {
	*rig
	secret  string
	session string
	modern  bool
}

func (r *rig) client() *client { return &client{rig: r, secret: r.keys.Issue()} }

// initialized is a client that has a session.
func (r *rig) initialized() *client {
	c := r.client()
	c.initialize()
	return c
}

func (c *client) initialize() {
	c.t.Helper()
	res := c.send(initialize)
	body := c.read(res)
	c.session = res.Header.Get("Mcp-Session-Id")
	if res.StatusCode != http.StatusOK || c.session == "" {
		c.t.Fatalf("initialize: %s %s, session %q", res.Status, body, c.session)
	}
}

const initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`

func (c *client) request(ctx context.Context, method, body string) *http.Request {
	c.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, c.url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.secret)
	req.Header.Set("Accept", "application/json, text/event-stream")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
	}
	if c.modern {
		c.modernHeaders(req, body)
	}
	return req
}

func (c *client) modernHeaders(req *http.Request, body string) {
	var m struct {
		Method string
		Params struct{ Name string }
	}
	_ = json.Unmarshal([]byte(body), &m)
	req.Header.Set("Mcp-Protocol-Version", "2026-07-28")
	req.Header.Set("Mcp-Method", m.Method)
	if m.Params.Name != "" {
		req.Header.Set("Mcp-Name", m.Params.Name)
	}
}

func (c *client) do(req *http.Request) *http.Response {
	c.t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// send posts a message.
func (c *client) send(body string) *http.Response {
	c.t.Helper()
	return c.do(c.request(deadline(c.t), http.MethodPost, body))
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	t.Cleanup(cancel)
	return ctx
}

func (c *client) read(res *http.Response) string {
	c.t.Helper()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("read the answer: %v after %.200s", err, text)
	}
	_ = res.Body.Close()
	return string(text)
}

// call calls a tool and returns its text, or the error's message.
func (c *client) call(tool, argument string) string {
	c.t.Helper()
	res := c.send(c.callBody(`1`, tool, argument))
	return c.text(c.read(res))
}

func (c *client) callBody(id, tool, argument string) string {
	quoted, _ := json.Marshal(argument)
	meta := ""
	if c.modern {
		meta = `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":%q,"arguments":%s%s}}`, id, tool, quoted, meta)
}

// text returns what the last message of an answer says.
func (c *client) text(body string) string {
	c.t.Helper()
	list := messages(body)
	var m struct {
		Result struct{ Content []struct{ Text string } }
		Error  struct{ Message string }
	}
	if len(list) == 0 {
		c.t.Fatalf("no message in %.300q", body)
	}
	if err := json.Unmarshal([]byte(list[len(list)-1]), &m); err != nil {
		c.t.Fatalf("%v in %.300q", err, body)
	}
	if len(m.Result.Content) == 1 {
		return m.Result.Content[0].Text
	}
	return m.Error.Message
}

// messages returns the messages of an answer, framed or not.
func messages(body string) (list []string) {
	if !strings.HasPrefix(body, "event:") {
		if body == "" {
			return nil
		}
		return []string{body}
	}
	scan := bufio.NewScanner(strings.NewReader(body))
	scan.Buffer(nil, 64<<20)
	for scan.Scan() {
		if data, ok := strings.CutPrefix(scan.Text(), "data: "); ok {
			list = append(list, data)
		}
	}
	return list
}

// listen opens the stream of the session and returns its messages.
func (c *client) listen() <-chan string {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	c.t.Cleanup(cancel)
	res := c.do(c.request(ctx, http.MethodGet, ""))
	if res.StatusCode != http.StatusOK {
		c.t.Fatalf("GET: %s", res.Status)
	}
	return events(res.Body)
}

func events(body io.Reader) <-chan string {
	out := make(chan string, 1000)
	go func() {
		defer close(out)
		scan := bufio.NewScanner(body)
		scan.Buffer(nil, 64<<20)
		for scan.Scan() {
			if data, ok := strings.CutPrefix(scan.Text(), "data: "); ok {
				out <- data
			}
		}
	}()
	return out
}

func next(t *testing.T, c <-chan string) string {
	t.Helper()
	select {
	case text := <-c:
		return text
	case <-time.After(within):
		t.Fatal("no message came")
		return ""
	}
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

// named issues a key with an owner and a name.
func (r *rig) named(owner, name string) *client {
	return &client{rig: r, secret: r.keys.Add(keys.Key{Owner: owner, Name: name})}
}
