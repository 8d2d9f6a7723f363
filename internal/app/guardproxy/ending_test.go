package guardproxy_test

import (
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/guardproxy"
	"github.com/mcpkeys/mcpkeys/keys"
)

var eras = []string{legacy, modern}

// The process of a key ends with the key, whether a call runs or not.
func TestProcessEndsWithItsKey(t *testing.T) {
	t.Parallel()
	s := command("server")
	r := newRig(t, &s)
	for _, version := range eras {
		for how, end := range map[string]func(k *keys.Key){
			"revoke":  nil,
			"disable": func(k *keys.Key) { k.DisabledAt = k.CreatedAt },
			"expiry":  func(k *keys.Key) { k.ExpiresAt = time.Now().Add(-time.Minute) },
		} {
			for _, busy := range []bool{false, true} {
				secret, id := r.Issue(admin.IssueRequest{Scopes: []string{"tools:*"}})
				c := r.client(secret, version).initialize()
				pid := c.pid()
				answered := make(chan string, 1)
				if busy {
					go func() {
						resp, err := http.DefaultTransport.RoundTrip(c.callOf("slow", "/never"))
						if err == nil {
							_ = resp.Body.Close()
						}
						answered <- "answered"
					}()
				}
				if end == nil {
					r.Elsewhere().Revoke(id)
				} else {
					r.Elsewhere().Change(id, end)
				}
				eventually(t, version+" "+how+": the process ends", func() bool { return !running(pid) })
				if busy {
					<-answered
				}
				if status, _ := c.call("pid"); status != http.StatusUnauthorized {
					t.Errorf("%s %s: got %d, want 401", version, how, status)
				}
			}
		}
	}
}

// The end of an old secret does not end the process that is used with the new one, whichever was
// used last.
func TestProcessOutlivesAnOldSecret(t *testing.T) {
	s := command("server")
	r := newRig(t, &s)
	for _, version := range eras {
		for _, oldLast := range []bool{false, true} {
			first, id := r.Issue(admin.IssueRequest{Scopes: []string{"tools:*"}})
			older := r.client(first, version).initialize()
			older.pid()
			newer := r.client(r.Rotate(id, time.Hour), version).initialize()
			pid := newer.pid()
			if oldLast {
				older.pid()
			}
			r.Elsewhere().Change(id, func(k *keys.Key) { k.Secrets[0].ExpiresAt = time.Now().Add(-time.Minute) })
			eventually(t, "the old secret is refused", func() bool {
				status, _ := older.call("pid")
				return status == http.StatusUnauthorized
			})
			for range 20 {
				if got := newer.pid(); got != pid {
					t.Fatalf("%s, the old secret last %v: the process was %s and is %s", version, oldLast, pid, got)
				}
			}
			r.Elsewhere().Revoke(id)
			eventually(t, "the process ends with the key", func() bool { return !running(pid) })
		}
	}
}

// Nor does it end the process, and the session, that were used with the old secret only.
func TestProcessOutlivesTheOnlySecretThatWasSent(t *testing.T) {
	s := command("server")
	r := newRig(t, &s)
	for _, version := range eras {
		first, id := r.Issue(admin.IssueRequest{Scopes: []string{"tools:*"}})
		c := r.client(first, version).initialize()
		pid := c.pid()
		second := r.Rotate(id, time.Hour)
		r.Elsewhere().Change(id, func(k *keys.Key) { k.Secrets[0].ExpiresAt = time.Now().Add(-time.Minute) })
		for range 50 { // in which a process that is ended is gone
			if status, _ := c.call("pid"); status != http.StatusUnauthorized {
				t.Fatalf("%s: the old secret: got %d, want 401", version, status)
			}
		}
		c.secret = second
		if got := c.pid(); got != pid {
			t.Errorf("%s: the process was %s and is %s", version, pid, got)
		}
		r.Elsewhere().Revoke(id)
		eventually(t, "the process ends with the key", func() bool { return !running(pid) })
	}
}

// A revoke while the key store cannot be read ends the process when it can be read again.
func TestRevokeWhileKeysCannotBeRead(t *testing.T) {
	t.Parallel()
	s := command("server")
	r := newRig(t, &s)
	secret, id := r.Issue(admin.IssueRequest{Scopes: []string{"tools:*"}})
	c := r.client(secret, modern)
	pid := c.pid()
	db := r.Path()
	other := r.Elsewhere()
	move := func(from, to string) {
		t.Helper()
		for _, file := range []string{"-epoch", ""} {
			if err := os.Rename(db+file+from, db+file+to); err != nil {
				t.Fatal(err)
			}
		}
	}
	move("", ".away")
	eventually(t, "keys cannot be checked", func() bool {
		status, _ := c.call("pid")
		return status == http.StatusServiceUnavailable
	})
	r.logs(`"unavailable"`, 1)
	move(".away", "")
	other.Revoke(id)
	eventually(t, "the process ends", func() bool { return !running(pid) })
}

// An edit that takes away one client's address leaves the process to a client at another one.
func TestProcessOutlivesAnAddress(t *testing.T) {
	s := command("server")
	r := newRig(t, &s, func(o *guardproxy.Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	secret, id := r.Issue(admin.IssueRequest{Scopes: []string{"tools:*"}})
	from := func(address string) *client {
		c := r.client(secret, modern)
		c.header = http.Header{"X-Forwarded-For": {address}}
		return c
	}
	stays, goes := from("192.0.2.1"), from("192.0.2.2")
	pid := stays.pid()
	if goes.pid() != pid {
		t.Fatal("one key has two processes")
	}
	r.Elsewhere().Change(id, func(k *keys.Key) { k.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")} })
	eventually(t, "the other address is refused", func() bool {
		status, _ := goes.call("pid")
		return status == http.StatusForbidden
	})
	for range 20 {
		if stays.pid() != pid {
			t.Fatal("the process was ended")
		}
	}
}

// A stopping guard is not ready and ends streams and processes; running calls are answered first.
func TestStop(t *testing.T) {
	t.Parallel()
	for _, version := range eras {
		s := command("stubborn")
		r := newRig(t, &s, func(o *guardproxy.Options) { o.Drain = time.Second })
		c := r.client(r.Granted("tools:*"), version).initialize()
		pid := c.pid()
		var stream *http.Response
		if version == legacy {
			var err error
			if stream, err = http.DefaultTransport.RoundTrip(c.request(http.MethodGet, "")); err != nil || stream.StatusCode != http.StatusOK {
				t.Fatalf("GET: got %v, %v", stream, err)
			}
			defer stream.Body.Close()
		}
		goOn := filepath.Join(filepath.Dir(binary), "go-"+version)
		answered := make(chan string, 1)
		go func() {
			resp, err := http.DefaultTransport.RoundTrip(c.callOf("slow", goOn))
			if err != nil {
				answered <- err.Error()
				return
			}
			defer resp.Body.Close()
			text := make([]byte, 4096)
			n, _ := resp.Body.Read(text)
			answered <- string(text[:n])
		}()
		ended := make(chan error, 1)
		go func() { ended <- r.stop() }()
		eventually(t, "not ready", func() bool { return r.get("/readyz") == http.StatusServiceUnavailable })
		if got := r.get("/healthz"); got != http.StatusOK {
			t.Errorf("healthz while stopping: got %d, want 200", got)
		}
		if stream != nil {
			if _, err := stream.Body.Read(make([]byte, 1)); err == nil {
				t.Error("the stream did not end")
			}
		}
		if !running(pid) {
			t.Error("the process ended before its call")
		}
		writeFile(t, goOn, "")
		if err := os.Chmod(goOn, 0o644); err != nil {
			t.Fatal(err)
		}
		if got := <-answered; !strings.Contains(got, pid) {
			t.Errorf("%s: the running call was answered %q, want %s", version, got, pid)
		}
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if running(pid) {
			t.Error("the process outlives the guard")
		}
		if strings.Contains(r.log.String(), "cut off") {
			t.Error("the guard waited in vain for a stream")
		}
	}
}

// Servers end side by side: processes that ignore the end of their input and SIGTERM take no
// longer together than one.
func TestServersEndSideBySide(t *testing.T) {
	t.Parallel()
	asUser := `"user":"nobody"`
	if command("").SameUser {
		asUser = `"same_user":true`
	}
	child := `{"audience":"weather","command":["` + binary + `"],"dir":"/","env":["` + roleVar + `=stubborn"],` + asUser + `}`
	set, config := withConfig(t)
	set(`{"servers": {"a": %s, "b": %s, "c": %s}}`, child, child, child)
	r := newRig(t, nil, config)
	secret := r.Granted("tools:*")
	var pids []string
	for _, path := range []string{"/a/mcp", "/b/mcp", "/c/mcp"} {
		c := r.client(secret, legacy)
		c.path = path
		pids = append(pids, c.initialize().pid())
	}
	if err := r.stop(); err != nil { // with one after the other, the time is over before the third
		t.Errorf("Run: %v", err)
	}
	for _, pid := range pids {
		if running(pid) {
			t.Errorf("process %s outlives the guard", pid)
		}
	}
}
