//go:build linux

package stdio_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/stdio"
)

// Over the limit the session that was idle for longest ends; if all are in use, the client is
// told to wait.
func TestLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		perKey, all int
		status      int
		says        string
	}{
		"of a key": {2, 10, http.StatusTooManyRequests, "uses all 2 of its sessions"},
		"of all":   {10, 2, http.StatusServiceUnavailable, "All 2 processes"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "server", func(o *stdio.Options) { o.MaxPerKey, o.MaxChildren = tc.perKey, tc.all })
			a := r.initialized()
			b := &client{rig: r, secret: a.secret}
			b.initialize()
			a.call("pid", "") // now b was idle for longer
			c := &client{rig: r, secret: a.secret}
			c.initialize()
			if res := b.send(b.callBody("1", "pid", "")); res.StatusCode != http.StatusNotFound {
				t.Errorf("the longest idle: %s, want 404", res.Status)
			}
			a.listen()
			c.listen()
			d := &client{rig: r, secret: a.secret}
			res := d.send(initialize)
			if body := d.read(res); res.StatusCode != tc.status || !strings.Contains(body, tc.says) || res.Header.Get("Retry-After") != "10" {
				t.Errorf("all in use: %s, Retry-After %q, %s", res.Status, res.Header.Get("Retry-After"), body)
			}
			if n := r.backend.Children(); n != 2 {
				t.Errorf("%d processes, want 2", n)
			}
		})
	}
}

func TestIdleSessionEnds(t *testing.T) {
	r := newRig(t, "server", func(o *stdio.Options) { o.Idle = 50 * time.Millisecond })
	c := r.initialized()
	eventually(t, "the session ends", func() bool { return r.backend.Children() == 0 })
	if res := c.send(c.callBody("1", "pid", "")); res.StatusCode != http.StatusNotFound {
		t.Errorf("afterwards: %s, want 404", res.Status)
	}
}

func TestBusySessionIsNotIdle(t *testing.T) {
	r := newRig(t, "server", func(o *stdio.Options) { o.Idle = time.Millisecond })
	c := r.client()
	secret := c.secret
	for range 20 { // the session may end before it is used
		c = &client{rig: r, secret: secret}
		c.initialize()
		if res := c.send(c.callBody("1", "flood", "3")); res.StatusCode == http.StatusOK {
			if body := c.read(res); !strings.Contains(body, "done") {
				t.Errorf("a call was cut: %.200s", body)
			}
		}
	}
}

// A server that ends at once is not started again and again.
func TestBackOff(t *testing.T) {
	r := newRig(t, "gone")
	c := r.client()
	if got := c.text(c.read(c.send(initialize))); !strings.Contains(got, "exit status 7") {
		t.Errorf("the first: %s", got)
	}
	eventually(t, "it is noticed", func() bool { return r.backend.Children() == 0 })
	res := c.send(initialize)
	if body := c.read(res); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || !strings.Contains(body, "ended soon after") {
		t.Errorf("the second: %s %s", res.Status, body)
	}
	if other := r.client().send(initialize); other.StatusCode != http.StatusOK {
		t.Errorf("another key: %s", other.Status)
	}
	if n := strings.Count(r.log.String(), "MCP server started"); n != 2 {
		t.Errorf("started %d times, want 2", n)
	}
}

func TestStartTimeout(t *testing.T) {
	r := newRig(t, "silent", func(o *stdio.Options) { o.Start = 50 * time.Millisecond })
	c := r.client()
	res := c.send(initialize)
	if got := c.text(c.read(res)); !strings.Contains(got, "did not answer initialize within 50ms") || res.Header.Get("Mcp-Session-Id") != "" {
		t.Errorf("got %q, session %q", got, res.Header.Get("Mcp-Session-Id"))
	}
	eventually(t, "the process ends", func() bool { return r.backend.Children() == 0 })
}

func TestLargeRequest(t *testing.T) {
	c := newRig(t, "server", func(o *stdio.Options) { o.MaxRequest = 1000 }).initialized()
	if res := c.send(c.callBody("1", "line", strings.Repeat("x", 2000))); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %s, want 413", res.Status)
	}
}
