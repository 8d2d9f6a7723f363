//go:build linux

package stdio_test

import (
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/stdio"
)

// Lines that are not messages are logged and skipped, and answers that fit no request are dropped.
func TestOddOutput(t *testing.T) {
	for name, tc := range map[string]struct{ text, problem, line string }{
		"no JSON":          {"hello \x1b[31mred\u202e\n", "not a JSON-RPC message", `hello \x1b[31mred\u202e`},
		"NUL":              {"\x00\x00\n", "not a JSON-RPC message", `\x00\x00`},
		"not UTF-8":        {"\"\xff\"\n", "not a JSON-RPC message", "\ufffd"},
		"JSON of no sort":  {"{\"a\":1}\n[]\n17\nnull\n", "not a JSON-RPC message", `17`},
		"twice":            {`{"jsonrpc":"2.0","id":1,"id":1,"result":{}}` + "\n", "not a JSON-RPC message", ""},
		"a wrong id":       {`{"jsonrpc":"2.0","id":99,"result":{"content":[]}}` + "\n", "answer to no open request", "99"},
		"the id as string": {`{"jsonrpc":"2.0","id":"1","result":{"content":[]}}` + "\n", "answer to no open request", ""},
		"no id":            {`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}` + "\n", "answer to no open request", ""},
		"both":             {`{"jsonrpc":"2.0","id":1,"method":"x","result":{}}` + "\n", "not a JSON-RPC message", ""},
		"empty lines":      {"\n\r\n  \n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "server")
			if got := r.initialized().call("write", tc.text); got != "done" {
				t.Errorf("the call: %s", got)
			}
			if log := r.log.String(); !strings.Contains(log, tc.problem) || !strings.Contains(unquoted(log), tc.line) || strings.ContainsAny(log, "\x1b\x00\u202e") {
				t.Errorf("the log has no %q with %q:\n%s", tc.problem, tc.line, log)
			}
		})
	}
}

// unquoted undoes the escapes of a text log.
func unquoted(log string) string { return strings.ReplaceAll(log, `\\`, `\`) }

func TestDuplicateAnswerIsDropped(t *testing.T) {
	c := newRig(t, "server").initialized()
	answer := `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"first"}]}}` + "\n"
	if got := c.call("write", answer+answer); got != "first" {
		t.Errorf("got %q", got)
	}
	if got := c.text(c.read(c.send(c.callBody("2", "id", "")))); got == "first" || got == "done" {
		t.Errorf("the next call got %q", got)
	}
}

// A crash, half a line and a line without end are told to the client in a sentence; the session
// is gone then.
func TestServerThatEnds(t *testing.T) {
	for tool, tc := range map[string]struct{ argument, want string }{
		"crash": {"3", "The MCP server ended (exit status 3). Its session has ended: initialize again."},
		"close": {"", "The MCP server closed its output, so it was ended."},
		"half":  {"", "The MCP server ended (exit status 0)."},
		"flood": {"0", "The MCP server wrote a line longer than 2097152 bytes, so it was ended."},
	} {
		t.Run(tool, func(t *testing.T) {
			r := newRig(t, "server", func(o *stdio.Options) { o.MaxLine = 2 << 20 })
			c := r.initialized()
			res := c.send(c.callBody(`"a"`, tool, tc.argument))
			body := c.read(res)
			if got := c.text(body); res.StatusCode != http.StatusOK || !strings.HasPrefix(got, tc.want) || !strings.Contains(body, `"id":"a"`) {
				t.Errorf("got %s %s", res.Status, body)
			}
			if res := c.send(c.callBody("2", "pid", "")); res.StatusCode != http.StatusNotFound {
				t.Errorf("afterwards: %s, want 404", res.Status)
			}
			if tool == "half" && !strings.Contains(r.log.String(), "half a line at the end") {
				t.Errorf("log:\n%s", r.log)
			}
		})
	}
}

// A server that does not read its input is ended, and what waits for it is bounded.
func TestServerThatDoesNotRead(t *testing.T) {
	r := newRig(t, "deaf", func(o *stdio.Options) { o.Stuck = 100 * time.Millisecond })
	c := r.initialized()
	if got := c.call("line", strings.Repeat("x", 2<<20)); !strings.HasPrefix(got, "The MCP server does not read its input, so it was ended.") {
		t.Errorf("got %q", got)
	}
	eventually(t, "the process ends", func() bool { return r.backend.Children() == 0 })
}

func TestLargeMessages(t *testing.T) {
	c := newRig(t, "server").initialized()
	if got := c.call("line", strings.Repeat("é", 1<<20)); len(got) < 2<<20 {
		t.Errorf("%d bytes came back", len(got))
	}
}

// A server that writes 1 GiB while its client reads nothing takes no memory: it waits.
func TestFloodTakesNoMemory(t *testing.T) {
	c := newRig(t, "server").initialized()
	res := c.send(c.callBody("1", "flood", "1024"))
	part := make([]byte, 64<<20)
	if _, err := io.ReadFull(res.Body, part); err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if used := m.HeapInuse; used > 256<<20 {
		t.Errorf("%d MiB are in use", used>>20)
	}
	_ = res.Body.Close()
	eventually(t, "the call is given up", func() bool { return c.backend.OpenCalls() == 0 })
}

// Messages that wait for a stream are bounded; requests among them are answered for the client.
func TestUnreadMessagesAreBounded(t *testing.T) {
	c := newRig(t, "server").initialized()
	req := c.request(deadline(t), http.MethodPost, c.callBody("1", "flood", "20"))
	req.Header.Set("Accept", "application/json") // so that the stream takes nothing but the answer
	if got := c.text(c.read(c.do(req))); got != "done" {
		t.Fatalf("got %q", got)
	}
	if log := c.log.String(); !strings.Contains(log, "too many messages wait for the client") {
		t.Errorf("log:\n%.2000s", log)
	}
	count := 0
	for range c.drain() {
		count++
	}
	if count != 1 {
		t.Errorf("%d messages of a MiB waited, want 1", count)
	}
}

// drain reads the stream of the session until the session ends.
func (c *client) drain() <-chan string {
	out := c.listen()
	c.delete()
	return out
}

// What the server writes to its standard error is logged, with the key, printable and bounded.
func TestStandardError(t *testing.T) {
	r := newRig(t, "server")
	c := r.initialized()
	c.call("complain", "bad \x1b]0;title\x07 thing\nsecond line\n"+strings.Repeat("y", 1<<20)+"\n"+strings.Repeat("z\n", 100_000))
	eventually(t, "it is logged", func() bool {
		return strings.Contains(r.log.String(), "second line") && strings.Contains(r.log.String(), "yyy…")
	})
	log := unquoted(r.log.String())
	if !strings.Contains(log, `bad \x1b]0;title\a thing`) || !strings.Contains(log, "key_id=") || strings.Contains(log, "\x1b") {
		t.Errorf("log:\n%.3000s", log)
	}
	if len(log) > 200_000 {
		t.Errorf("%d bytes of log", len(log))
	}
	if got := c.call("pid", ""); got == "" {
		t.Error("the server waits for its standard error")
	}
}
