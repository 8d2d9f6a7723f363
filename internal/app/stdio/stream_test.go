//go:build linux

package stdio_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

func readFile(name string) string {
	text, _ := os.ReadFile(name)
	return string(text)
}

// A request of the server reaches the client by the only open POST, else by the GET, else once
// there is a stream; the answer reaches the server under its own id.
func TestServerAsksClient(t *testing.T) {
	r := newRig(t, "server")
	answer := `{"jsonrpc":"2.0","id":"ask-1","result":{"role":"user"}}`

	c := r.initialized()
	out := c.post(c.callBody("1", "ask", ""))
	wantAsked(t, next(t, out))
	c.send(answer)
	if got := next(t, out); c.text(got) != answer {
		t.Errorf("by the POST: %s", got)
	}

	c = r.initialized()
	hold, get := c.openCall("8"), c.listen()
	out = c.post(c.callBody("1", "ask", ""))
	wantAsked(t, next(t, get))
	c.send(answer)
	if got := next(t, out); c.text(got) != answer {
		t.Errorf("by the GET: %s", got)
	}
	hold.cancel()

	c = r.initialized()
	first, second := c.openCall("8"), c.openCall("9")
	out = c.post(c.callBody("1", "ask", ""))
	eventually(t, "three calls are open", func() bool { return r.backend.OpenCalls() == 3 })
	wantAsked(t, next(t, c.listen()))
	c.send(answer)
	if got := next(t, out); c.text(got) != answer {
		t.Errorf("later: %s", got)
	}
	first.cancel()
	second.cancel()

	c = r.initialized()
	first, second = c.openCall("8"), c.openCall("9")
	out = c.post(c.callBody("1", "ask", ""))
	eventually(t, "three calls are open", func() bool { return r.backend.OpenCalls() == 3 })
	first.cancel()
	second.cancel()
	wantAsked(t, next(t, out))
	c.send(answer)
	if got := next(t, out); c.text(got) != answer {
		t.Errorf("when the other POSTs are over: %s", got)
	}
}

func wantAsked(t *testing.T, got string) {
	t.Helper()
	if !strings.Contains(got, `"id":"ask-1"`) || !strings.Contains(got, "sampling/createMessage") {
		t.Errorf("the client got %s", got)
	}
}

// post sends a message and returns what comes back while it comes.
func (c *client) post(body string) <-chan string {
	c.t.Helper()
	out := make(chan string, 10)
	req := c.request(deadline(c.t), http.MethodPost, body)
	go func() {
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return
		}
		defer res.Body.Close()
		if res.Header.Get("Content-Type") == "application/json" {
			out <- c.read(res)
			return
		}
		for m := range events(res.Body) {
			out <- m
		}
	}()
	return out
}

// An answer that the server did not ask for is not passed to it.
func TestAnswerToNothing(t *testing.T) {
	c := newRig(t, "server").initialized()
	if res := c.send(`{"jsonrpc":"2.0","id":"x","result":{}}`); res.StatusCode != http.StatusAccepted {
		t.Errorf("got %s, want 202", res.Status)
	}
}

// Before the answer come other messages: then it is a stream.
func TestJSONOrStream(t *testing.T) {
	c := newRig(t, "server").initialized()
	for _, tc := range []struct{ tool, accept, kind string }{
		{"pid", "application/json, text/event-stream", "application/json"},
		{"pid", "text/event-stream", "text/event-stream"},
		{"pid", "*/*", "application/json"},
		{"notify", "application/json, text/event-stream", "text/event-stream"},
		{"notify", "application/json", "application/json"},
		{"pid", "text/html", "406"},
	} {
		req := c.request(deadline(t), http.MethodPost, c.callBody("1", tc.tool, ""))
		req.Header.Set("Accept", tc.accept)
		res := c.do(req)
		if got := res.Header.Get("Content-Type"); got != tc.kind && !strings.HasPrefix(res.Status, tc.kind) {
			t.Errorf("%s for %s: %s %s, want %s", tc.tool, tc.accept, res.Status, got, tc.kind)
		}
		if body := c.read(res); strings.Contains(body, "\nid:") {
			t.Errorf("an event id: %s", body)
		}
	}
}

func TestOneStreamForEachSession(t *testing.T) {
	c := newRig(t, "server").initialized()
	get := c.listen()
	if res := c.do(c.request(deadline(t), http.MethodGet, "")); res.StatusCode != http.StatusConflict {
		t.Errorf("the second: %s, want 409", res.Status)
	}
	c.delete()
	for m := range get {
		t.Errorf("got %s", m)
	}
}

// A batch is answered as one, and its messages reach the server one by one.
func TestBatch(t *testing.T) {
	c := newRig(t, "server").initialized()
	body := c.read(c.send("[" + c.callBody("1", "id", "") + `, {"jsonrpc":"2.0","method":"notifications/x"},` + "\n" + c.callBody(`"1"`, "line", "y") + "]"))
	if !strings.HasPrefix(body, "[{") || strings.Count(body, `"jsonrpc"`) < 2 || !strings.Contains(body, `"id":"1"`) || !strings.Contains(body, `"id":1,`) {
		t.Errorf("got %s", body)
	}
	for name, bad := range map[string]string{
		"empty":      "[]",
		"twice":      "[" + c.callBody("1", "id", "") + "," + c.callBody("1.0", "id", "") + "]",
		"too many":   "[" + strings.Repeat(c.callBody("1", "id", "")+",", 200) + "1]",
		"initialize": "[" + initialize + "]",
		"no message": "[1]",
	} {
		other := *c
		if name == "initialize" {
			other.session = ""
		}
		if res := other.send(bad); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s, want 400", name, res.Status)
		}
	}
}

func TestBadRequests(t *testing.T) {
	c := newRig(t, "server").initialized()
	for name, body := range map[string]string{
		"nothing":            "",
		"half":               `{"jsonrpc":"2.0","id":1,`,
		"two":                `{"jsonrpc":"2.0","id":1,"method":"ping"}{}`,
		"twice":              `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}`,
		"twice in params":    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pid","name":"env"}}`,
		"other case":         `{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}`,
		"case in params":     `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pid","Name":"env"}}`,
		"version":            `{"jsonrpc":"1.0","id":1,"method":"ping"}`,
		"no version":         `{"id":1,"method":"ping"}`,
		"a method and error": `{"jsonrpc":"2.0","id":1,"method":"ping","error":{}}`,
		"NUL":                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\x00",
		"not UTF-8":          "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}",
		"initialized twice":  initialize,
	} {
		if res := c.send(body); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s, want 400", name, res.Status)
		}
	}
	c.session = ""
	if res := c.send(c.callBody("1", "pid", "")); res.StatusCode != http.StatusBadRequest {
		t.Errorf("without a session: %s, want 400", res.Status)
	}
	if res := c.do(c.request(deadline(t), http.MethodPut, "")); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("PUT: %s, want 405", res.Status)
	}
}

// An id that is open already is refused, so that no answer can go to another call.
func TestIDInUse(t *testing.T) {
	c := newRig(t, "server").initialized()
	open := c.openCall("1")
	res := c.send(c.callBody("1.0", "pid", ""))
	if body := c.read(res); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "still open") {
		t.Errorf("got %s %s", res.Status, body)
	}
	open.cancel()
}
