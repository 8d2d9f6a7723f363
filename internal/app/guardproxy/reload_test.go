package guardproxy_test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// held is an upstream whose calls and lists wait until release is closed.
func held(t *testing.T) (u *upstream, began chan string, release func()) {
	t.Helper()
	u, began = newUpstream(t), make(chan string, 10)
	on := make(chan struct{})
	release = sync.OnceFunc(func() { close(on) })
	u.answers(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && (r.Header.Get("Mcp-Session-Id") != "" || r.Header.Get("Mcp-Method") != "") {
			began <- r.Header.Get("X-Mcpkeys-Audience")
			select {
			case <-on:
			case <-r.Context().Done():
			}
		}
		return false
	})
	t.Cleanup(release)
	return u, began, release
}

// answers sends a request in the background.
func (c *client) answers(req *http.Request) <-chan string {
	out := make(chan string, 1)
	go func() {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			out <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		out <- fmt.Sprint(resp.StatusCode, " ", string(text), " ", err)
	}()
	return out
}

// list is a request for the tools.
func (c *client) list() *http.Request {
	req := c.callOf("", "")
	body := `{"jsonrpc":"2.0","id":8,"method":"tools/list","params":{}}`
	if c.version == modern {
		body = strings.Replace(body, "{}", `{"_meta":{"io.modelcontextprotocol/protocolVersion":"`+modern+`","io.modelcontextprotocol/clientCapabilities":{}}}`, 1)
		req.Header.Set("Mcp-Method", "tools/list")
		req.Header.Del("Mcp-Name")
	}
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return req
}

// Clients whose server was changed or removed hear that. Those of a server that stayed the same
// notice nothing: their calls are answered.
func TestReloadTellsRunningCalls(t *testing.T) {
	t.Parallel()
	const changed, removed = "the configuration of this MCP server was changed. Try again", "this MCP server was removed from the configuration of the guard. Do not try again"
	asUser := `"user":"nobody"`
	if command("").SameUser {
		asUser = `"same_user":true`
	}
	for _, version := range eras {
		u, began, release := held(t)
		over := func(more string) string {
			return fmt.Sprintf(`{"audience":"weather","upstream":"%s/mcp"%s}`, u.URL, more)
		}
		child := func(more string) string {
			return fmt.Sprintf(`{"audience":"weather","command":["%s"],"dir":"/","env":["%s=server"%s],%s}`, binary, roleVar, more, asUser)
		}
		set, config := withConfig(t)
		set(`{"servers": {"http": %s, "kept": %s, "gone": %s, "child": %s}}`, over(""), over(""), over(""), child(""))
		r := newRig(t, nil, config)
		secret := r.Granted("tools:*")
		at := func(path string) *client {
			c := r.client(secret, version)
			c.path = path
			return c.initialize()
		}
		http1, kept, gone, program := at("/http/mcp"), at("/kept/mcp"), at("/gone/mcp"), at("/child/mcp")
		pid := at("/child/mcp").pid() // in 2026-07-28 that of program too
		waiting := map[string]<-chan string{
			"a call":                  http1.answers(http1.callOf("slow", "")),
			"a list":                  http1.answers(http1.list()),
			"a call, server removed":  gone.answers(gone.callOf("slow", "")),
			"a call of a program":     program.answers(program.callOf("slow", filepath.Join(t.TempDir(), "never"))),
			"a call of a kept server": kept.answers(kept.callOf("slow", "")),
		}
		for range 4 {
			<-began
		}
		set(`{"servers": {"http": %s, "kept": %s, "child": %s}}`, over(`,"methods":{"acme/x":"tools:x"}`), over(""), child(`,"X=1"`))
		r.reloaded(`"configuration reloaded"`, 1)
		for what, answer := range waiting {
			want := changed
			switch {
			case strings.Contains(what, "kept"):
				continue
			case strings.Contains(what, "removed"):
				want = removed
			}
			if got := <-answer; !strings.Contains(got, want) || !strings.Contains(got, `"id":`) || !strings.Contains(got, `"code":-31503`) || !strings.Contains(got, `"server_ended"`) {
				t.Errorf("%s: %s: got %s, want %s", version, what, got, want)
			}
		}
		release()
		if got := <-waiting["a call of a kept server"]; !strings.Contains(got, `"result"`) {
			t.Errorf("%s: the call of a server that stayed the same: got %s", version, got)
		}
		if again := at("/http/mcp"); again.session == http1.session && version == legacy {
			t.Errorf("%s: the new server continues the session of the old one", version)
		}
		eventually(t, "the program of the changed server ends", func() bool { return !running(pid) })
	}
}
