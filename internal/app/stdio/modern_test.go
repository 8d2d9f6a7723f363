//go:build linux

package stdio_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// withoutSession is a client of the protocol without sessions.
func (r *rig) withoutSession() *client { return &client{rig: r, secret: r.keys.Issue(), modern: true} }

const discover = `{"jsonrpc":"2.0","id":"d","method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`

// A process serves all clients of one key, and never those of another key.
func TestProcessBelongsToOneKey(t *testing.T) {
	r := newRig(t, "modern")
	a, b := r.withoutSession(), r.withoutSession()
	again := &client{rig: r, secret: a.secret, modern: true}
	if x, y := a.call("pid", ""), again.call("pid", ""); x != y {
		t.Errorf("one key has the processes %s and %s", x, y)
	}
	if x, y := a.call("pid", ""), b.call("pid", ""); x == y {
		t.Errorf("two keys share the process %s", x)
	}
	if session := r.initializedAs(a.secret); session.call("pid", "") == a.call("pid", "") {
		t.Error("a session shares the process of its key")
	}
}

func (r *rig) initializedAs(secret string) *client {
	c := &client{rig: r, secret: secret}
	c.initialize()
	return c
}

// Ids of several clients may be equal, and come back as they were written.
func TestIDsOfClientsDoNotCollide(t *testing.T) {
	r := newRig(t, "modern")
	c := r.withoutSession()
	c.call("pid", "")
	var wg sync.WaitGroup
	for i := range 60 {
		id := []string{`1`, `"1"`, `1e0`, `10e-1`, `"\u0031"`, `-0`}[i%6]
		wg.Go(func() {
			body := c.read(c.send(c.callBody(id, "line", fmt.Sprint("argument ", i))))
			if !strings.Contains(body, `"id":`+id+`,`) || !strings.Contains(c.text(body), fmt.Sprintf(`"arguments":"argument %d"`, i)) {
				t.Errorf("call %d with id %s: %s", i, id, body)
			}
		})
	}
	wg.Wait()
	for id, want := range map[string]string{"null": "400", "1.5": "400", "{}": "400", "1e999": "400"} {
		if res := c.send(c.callBody(id, "pid", "")); !strings.HasPrefix(res.Status, want) {
			t.Errorf("id %s: %s", id, res.Status)
		}
	}
}

// Only ids and tokens are replaced on the way to a shared process.
func TestSharedProcessGetsTheSameBytes(t *testing.T) {
	c := newRig(t, "modern").withoutSession()
	sent := `{ "id" : "mine","jsonrpc":"2.0","method":"tools/call", "params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","progressToken" : "mine"},"name":"line","arguments":{"id":1.50,"id":"mine"}}}`
	got := c.text(c.read(c.send(sent)))
	var m struct{ ID json.Number }
	if err := json.Unmarshal([]byte(got), &m); err != nil || m.ID == "" {
		t.Fatalf("%v in %s", err, got)
	}
	want := strings.Replace(strings.Replace(sent, `"id" : "mine"`, `"id" : `+m.ID.String(), 1), `"progressToken" : "mine"`, `"progressToken" : `+m.ID.String(), 1)
	if got != want {
		t.Errorf("the server got\n%s, want\n%s", got, want)
	}
}

// Progress goes to the call that asked for it, under the token that it chose.
func TestProgressFindsItsStream(t *testing.T) {
	r := newRig(t, "modern")
	shared := r.withoutSession()
	hold := shared.openCall(`"held"`)
	for _, c := range []*client{shared, r.initialized()} {
		for _, token := range []string{`"t"`, `7`, `7e0`} {
			meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","progressToken":` + token + `}`
			res := c.send(`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"progress",` + meta + `}}`)
			list := messages(c.read(res))
			if len(list) != 2 || !strings.Contains(list[0], `"progressToken":`+token+`,`) || !strings.Contains(list[1], `"id":5,`) {
				t.Errorf("token %s: got %q", token, list)
			}
		}
	}
	hold.cancel()
	for m := range hold.messages {
		t.Errorf("another call got %s", m)
	}
}

// An openCall is a call that hangs, with a stream.
type openCall struct {
	messages <-chan string
	cancel   func()
}

func (c *client) openCall(id string) openCall {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	c.t.Cleanup(cancel)
	req := c.request(ctx, http.MethodPost, c.callBody(id, "hang", ""))
	before := c.backend.OpenCalls()
	out := make(chan string)
	go func() {
		defer close(out)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return
		}
		defer res.Body.Close()
		for m := range events(res.Body) {
			out <- m
		}
	}()
	eventually(c.t, "the call is open", func() bool { return c.backend.OpenCalls() > before })
	return openCall{out, cancel}
}

// The notifications of a subscription carry the id that its client chose.
func TestSubscriptionsKeepTheirIDs(t *testing.T) {
	r := newRig(t, "modern")
	c := r.withoutSession()
	for _, id := range []string{`"s"`, `4`} {
		ctx, cancel := context.WithCancel(t.Context())
		res := c.do(c.request(ctx, http.MethodPost, `{"jsonrpc":"2.0","id":`+id+`,"method":"subscriptions/listen","params":{"notifications":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`))
		if got := next(t, events(res.Body)); !strings.Contains(got, `"io.modelcontextprotocol/subscriptionId":`+id+`}`) {
			t.Errorf("id %s: got %s", id, got)
		}
		cancel()
	}
}

// A stream that its client closes is a cancellation, in both eras.
func TestClosedStreamCancels(t *testing.T) {
	for _, modern := range []bool{false, true} {
		r, note := rigWithNote(t, "modern")
		c := r.client()
		c.modern = modern
		if !modern {
			c.initialize()
		}
		open := c.openCall("3")
		open.cancel()
		eventually(t, "the server knows", func() bool { return strings.Contains(readFile(note), `"requestId":`) })
		eventually(t, "the call is forgotten", func() bool { return r.backend.OpenCalls() == 0 })
	}
}

// A client's cancellation reaches the server under the id that the server knows, and ends the
// stream. If two clients use the id, neither is cancelled.
func TestCancellation(t *testing.T) {
	for _, modern := range []bool{false, true} {
		r, note := rigWithNote(t, "modern")
		c := r.client()
		c.modern = modern
		if !modern {
			c.initialize()
		}
		open := c.openCall(`"x"`)
		if modern {
			other := c.openCall(`"x"`)
			c.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}`)
			if n := r.backend.OpenCalls(); n != 2 {
				t.Errorf("%d calls are open, want 2", n)
			}
			other.cancel()
			eventually(t, "one is left", func() bool { return r.backend.OpenCalls() == 1 })
		}
		if res := c.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x","reason":"enough"}}`); res.StatusCode != http.StatusAccepted {
			t.Errorf("got %s, want 202", res.Status)
		}
		for m := range open.messages {
			t.Errorf("got %s", m)
		}
		eventually(t, "the server knows", func() bool { return strings.Contains(readFile(note), `"enough"`) })
		if got := readFile(note); strings.Contains(got, `"x"`) == modern {
			t.Errorf("modern %v: the server got %s", modern, got)
		}
	}
}

// What a proxy may have judged by its headers is what the server gets.
func TestHeadersMustMatch(t *testing.T) {
	c := newRig(t, "modern").withoutSession()
	for name, change := range map[string]func(http.Header){
		"version":    func(h http.Header) { h.Set("Mcp-Protocol-Version", "2026-07-29") },
		"no version": func(h http.Header) { h.Del("Mcp-Protocol-Version") },
		"method":     func(h http.Header) { h.Set("Mcp-Method", "tools/list") },
		"no method":  func(h http.Header) { h.Del("Mcp-Method") },
		"name":       func(h http.Header) { h.Set("Mcp-Name", "env") },
		"no name":    func(h http.Header) { h.Del("Mcp-Name") },
		"base64":     func(h http.Header) { h.Set("Mcp-Name", "=?base64?ZW52?=") },
	} {
		req := c.request(deadline(t), http.MethodPost, c.callBody("1", "pid", ""))
		change(req.Header)
		res := c.do(req)
		if body := c.read(res); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "-32020") {
			t.Errorf("%s: %s %s", name, res.Status, body)
		}
	}
	req := c.request(deadline(t), http.MethodPost, c.callBody("1", "pid", ""))
	req.Header.Set("Mcp-Name", "=?base64?cGlk?=")
	if res := c.do(req); res.StatusCode != http.StatusOK {
		t.Errorf("the same name in base64: %s", res.Status)
	}
}

// A server without server/discover is offered as one with sessions: 400, and no process stays.
func TestOlderServerIsOfferedAsSuch(t *testing.T) {
	for _, role := range []string{"server", "probed"} {
		r := newRig(t, role)
		c := r.withoutSession()
		for range 2 {
			res := c.send(discover)
			if body := c.read(res); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"id":"d"`) || strings.Contains(body, "-32022") {
				t.Errorf("%s: %s %s", role, res.Status, body)
			}
		}
		eventually(t, "the process ends", func() bool { return r.backend.Children() == 0 })
		if n := strings.Count(r.log.String(), "MCP server started"); n != 1 {
			t.Errorf("%s: started %d times, want 1", role, n)
		}
		c.modern = false
		c.initialize()
	}
}

// A call that is open when the process of its key ends is answered, and the next one has a new
// process.
func TestSharedProcessIsStartedAgain(t *testing.T) {
	r := newRig(t, "modern")
	c := r.withoutSession()
	if got := c.call("crash", "4"); got != "The MCP server ended (exit status 4). Send the request again." {
		t.Errorf("got %q", got)
	}
	eventually(t, "it is noticed", func() bool { return r.backend.Children() == 0 })
	eventually(t, "it is started again", func() bool {
		res := c.send(c.callBody("1", "pid", ""))
		return res.StatusCode == http.StatusOK && c.text(c.read(res)) != ""
	})
}

// A notification alone starts no process.
func TestNotificationStartsNothing(t *testing.T) {
	c := newRig(t, "modern").withoutSession()
	if res := c.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`); res.StatusCode != http.StatusAccepted {
		t.Errorf("got %s, want 202", res.Status)
	}
	if n := c.backend.Children(); n != 0 {
		t.Errorf("%d processes, want none", n)
	}
}

func TestStatusOfErrors(t *testing.T) {
	c := newRig(t, "modern").withoutSession()
	res := c.send(`{"jsonrpc":"2.0","id":1,"method":"no/such","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`)
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("unknown method: %s, want 404", res.Status)
	}
	if res := c.do(c.request(deadline(t), http.MethodGet, "")); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s, want 405", res.Status)
	}
}
