package guardproxy_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/guardproxy"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
)

func TestUpstreams(t *testing.T) {
	for _, c := range []struct {
		text       string
		credential bool
		url        string // or
		socket     string
		refused    string
	}{
		{text: "http://127.0.0.1:9001/mcp", url: "http://127.0.0.1:9001/mcp"},
		{text: "http://[::1]:9001/", url: "http://[::1]:9001/"},
		{text: "http://LocalHost:9001/mcp?x=1", url: "http://LocalHost:9001/mcp?x=1"},
		{text: "HTTP://localhost/mcp", url: "http://localhost/mcp"},
		{text: "https://mcp.example/mcp", credential: true, url: "https://mcp.example/mcp"},
		{text: "unix:/run/weather.sock", url: "http://localhost/mcp", socket: "/run/weather.sock"},
		{text: "unix:/run/weather.sock:/v1/mcp", url: "http://localhost/v1/mcp", socket: "/run/weather.sock"},

		{text: "https://mcp.example/mcp", refused: "clients could bypass the guard"},
		{text: "http://mcp.example/mcp", credential: true, refused: "plain HTTP to another machine"},
		{text: "http://127.0.0.1.example/mcp", credential: true, refused: "plain HTTP to another machine"},
		{text: "http://0.0.0.0:9001/mcp", refused: "plain HTTP to another machine"},
		{text: "http://:9001/mcp", refused: "plain HTTP to another machine"},
		{text: "http://me:secret@127.0.0.1:9001/mcp", refused: "must not hold a password"},
		{text: "http://127.0.0.1:9001/mcp#x", refused: "#fragment"},
		{text: "127.0.0.1:9001", refused: "must be the URL"},
		{text: "ftp://127.0.0.1/mcp", refused: "must be the URL"},
		{text: "http:127.0.0.1", refused: "must be the URL"},
		{text: "http://127.0.0.1:9001/\x00", refused: "must be the URL"},
		{text: "/run/weather.sock", refused: "must be the URL"},
		{text: "unix:weather.sock", refused: "the full path of a socket"},
		{text: "unix:", refused: "the full path of a socket"},
		{text: "unix:/run/weather.sock:mcp", refused: "the full path of a socket"},
	} {
		to, socket, err := guardproxy.ParseUpstream(c.text, c.credential)
		if c.refused != "" {
			wantInvalid(t, c.text, err, "upstream", c.refused)
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: the password is in the error: %v", c.text, err)
			}
			continue
		}
		if err != nil || to.String() != c.url || socket != c.socket {
			t.Errorf("%s: got %v, %q, %v, want %s, %q", c.text, to, socket, err, c.url, c.socket)
		}
	}
}

// The upstream reads who calls, in headers that a client cannot set, and never the secret.
func TestUpstreamReadsTheCaller(t *testing.T) {
	u := newUpstream(t)
	r := newRig(t, u.server(), func(o *guardproxy.Options) { o.Headers = []string{"X-Token"} })
	secret, id := r.Issue(admin.IssueRequest{Name: "build bot", Owner: "älice", Scopes: []string{"tools:get_*", "tools:add"}})
	c := r.client(secret, legacy)
	c.header = http.Header{
		"X-Mcpkeys-Key-Id": {"forged"}, "x-mcpkeys-owner": {"forged"}, "X_MCPKEYS_KEY_NAME": {"forged"}, "X-Mcpkeys_Scopes": {"forged"},
		"x_mcpkeys-audience": {"forged"}, "X-Mcpkeys-Admin": {"forged"}, "X-Forwarded-For": {"forged"},
		"Cookie": {"kept"}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"},
	}
	for _, name := range []string{"Authorization", "X-Api-Key", "X-Token"} {
		req := c.callOf("add", "")
		req.Header.Del("Authorization")
		req.Header[name] = []string{map[bool]string{true: "Bearer "}[name == "Authorization"] + secret}
		if resp, body := c.do(req); resp.StatusCode != http.StatusOK || resp.Header.Get("WWW-Authenticate") != "" {
			t.Fatalf("%s: got %s %v %s", name, resp.Status, resp.Header, body)
		}
		got := u.got()
		want := map[string]string{
			"X-Mcpkeys-Key-Id": id, "X-Mcpkeys-Key-Name": "build%20bot", "X-Mcpkeys-Owner": "%C3%A4lice",
			"X-Mcpkeys-Scopes": "tools:get_* tools:add", "X-Mcpkeys-Audience": "weather", "Cookie": "kept", "Accept-Encoding": "identity",
		}
		for name, value := range want {
			if v := got[name]; len(v) != 1 || v[0] != value {
				t.Errorf("%s: got %q, want %q", name, v, value)
			}
		}
		if got.Get("X-Request-Id") == "" || got.Get("Upgrade") != "" || got.Get("X-Forwarded-For") != "" {
			t.Errorf("got %v", got)
		}
		for name, values := range got {
			if all := strings.Join(values, " "); strings.Contains(all, "forged") || strings.Contains(all, secret) {
				t.Errorf("the upstream got %s: %s", name, all)
			}
		}
	}
}

// Whatever the upstream does, the client gets no challenge and no redirect, and the log has the
// reason once for each request, but not for a flood.
func TestUpstreamFails(t *testing.T) {
	t.Parallel()
	const inner = "inner-secret"
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request) bool
		reason string
	}{
		"401":         {says(401), "the MCP server refused the guard's credential"},
		"403":         {says(403), "the MCP server refused the guard's credential"},
		"407":         {says(407), "the MCP server refused the guard's credential"},
		"302":         {says(302), "the MCP server answered with a redirect"},
		"308":         {says(308), "the MCP server answered with a redirect"},
		"unreachable": {nil, "connection refused"},
		"101": {func(w http.ResponseWriter, _ *http.Request) bool {
			conn, out, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = out.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
				_, _ = out.Flush(), conn.Close()
			}
			return true
		}, "the MCP server cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t)
			file := filepath.Join(t.TempDir(), "header")
			writeFile(t, file, "Authorization: Bearer "+inner)
			s := u.server()
			s.HeaderFile = file
			r := newRig(t, s)
			u.answers(c.answer)
			if c.answer == nil {
				u.Close()
			}
			cl := r.client(r.Granted("tools:*"), legacy)
			for range 15 {
				req := cl.callOf("add", "")
				req.Header.Set("Upgrade", "x")
				req.Header.Set("Connection", "Upgrade")
				resp, body := cl.do(req)
				if resp.StatusCode != http.StatusBadGateway || resp.Header.Get("WWW-Authenticate") != "" || resp.Header.Get("Location") != "" {
					t.Fatalf("got %s %v %s, want 502", resp.Status, resp.Header, body)
				}
				if strings.Contains(body, inner) || strings.Contains(body, "127.0.0.1") {
					t.Errorf("the client reads %s", body)
				}
			}
			log := r.log.String()
			if n := strings.Count(log, `"the MCP server cannot be used"`); n != 10 || !strings.Contains(log, c.reason) {
				t.Errorf("got %d lines, want 10 with %q:\n%s", n, c.reason, log)
			}
			if strings.Contains(log, inner) || strings.Contains(log, cl.secret) {
				t.Errorf("a secret is in the log:\n%s", log)
			}
		})
	}
}

func says(status int) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("WWW-Authenticate", "Bearer resource_metadata=https://upstream.example")
		w.Header().Set("Location", "https://elsewhere.example/mcp")
		w.WriteHeader(status)
		return true
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestUnixUpstream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: u}}
	srv.Start()
	r := newRig(t, &guardproxy.Server{Audience: guardtest.Audience, Upstream: "unix:" + path + ":/deep/mcp"})
	c := r.client(r.Granted("tools:*"), legacy)
	if status, body := c.call("add"); status != http.StatusOK {
		t.Errorf("got %d %s", status, body)
	}
	u.mu.Lock()
	if u.last == nil || u.last.URL.Path != "/deep/mcp" || u.last.Host != "localhost" {
		t.Errorf("the server got %+v", u.last)
	}
	u.mu.Unlock()
	if got := r.get("/readyz"); got != http.StatusOK {
		t.Errorf("readyz: got %d", got)
	}
	srv.Close()
	if got := r.get("/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("readyz without the server: got %d", got)
	}
}

// The header file is read again when it changes. A bad one leaves the header of before, and the
// log says so, but not for a flood.
func TestHeaderFile(t *testing.T) {
	u := newUpstream(t)
	file := filepath.Join(t.TempDir(), "header")
	writeFile(t, file, "x-inner:  one \r\n")
	s := u.server()
	s.HeaderFile = file
	r := newRig(t, s)
	c := r.client(r.Granted("tools:*"), legacy)
	c.header = http.Header{"X-Inner": {"of the client"}}
	want := func(what, value string) {
		t.Helper()
		if status, body := c.call("add"); status != http.StatusOK {
			t.Errorf("%s: got %d %s", what, status, body)
		}
		if got := u.got()["X-Inner"]; len(got) != 1 || got[0] != value {
			t.Errorf("%s: got %q, want %s", what, got, value)
		}
	}
	want("at first", "one")
	writeFile(t, file, "X-Inner: two")
	want("changed", "two")
	writeFile(t, file, "X-Inner")
	for range 15 {
		want("spoiled", "two")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	want("removed", "two")
	if n := strings.Count(r.log.String(), "the header of before stays in use"); n != 10 {
		t.Errorf("got %d lines in the log, want 10", n)
	}
	writeFile(t, file, "X-Inner: three")
	want("written again", "three")
}

func TestBadHeaderFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "header")
	for _, text := range []string{
		"", "Authorization", "Authorization:", ": x", "Author ization: x", "X-A: one\nX-B: two", "X-A: ä", "X-A: a\x00b",
		"Host: x", "Mcp-Session-Id: x", "content-length: 3", "X-Mcpkeys-Owner: x", "x_mcpkeys_owner: x", "X-Request-Id: x",
		"X-A: " + strings.Repeat("a", 17<<10),
	} {
		writeFile(t, file, text)
		_, err := guardproxy.Open(options(guardtest.NewKeyring(t), &guardproxy.Server{Upstream: "http://127.0.0.1:1/mcp", HeaderFile: file}))
		wantInvalid(t, text[:min(len(text), 30)], err, "upstream_header_file", "one line: the name of a header")
	}
	for _, path := range []string{dir, filepath.Join(dir, "none"), "/dev/zero"} {
		_, err := guardproxy.Open(options(guardtest.NewKeyring(t), &guardproxy.Server{Upstream: "http://127.0.0.1:1/mcp", HeaderFile: path}))
		wantInvalid(t, path, err, "upstream_header_file", "regular file")
	}
}

// A guard is not ready if keys or the server cannot be used, or if it is stopping.
func TestReadiness(t *testing.T) {
	u := newUpstream(t)
	r := newRig(t, u.server())
	if got := r.get("/readyz"); got != http.StatusOK {
		t.Errorf("readyz: got %d, want 200", got)
	}
	if resp, err := http.Post(r.url+"/readyz", "", nil); err != nil || resp.StatusCode != http.StatusMethodNotAllowed || resp.Body.Close() != nil {
		t.Errorf("POST: got %v, %v, want 405", resp, err)
	}
	db := r.Path()
	if err := errors.Join(os.Rename(db, db+".away"), os.Rename(db+"-epoch", db+"-epoch.away")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "not ready without a key store", func() bool { return r.get("/readyz") == http.StatusServiceUnavailable })
	if got := r.get("/healthz"); got != http.StatusOK {
		t.Errorf("healthz: got %d, want 200", got)
	}
	if err := errors.Join(os.Rename(db+"-epoch.away", db+"-epoch"), os.Rename(db+".away", db)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ready again", func() bool { return r.get("/readyz") == http.StatusOK })
	u.Close()
	for range 15 {
		if got := r.get("/readyz"); got != http.StatusServiceUnavailable {
			t.Fatalf("readyz without the MCP server: got %d, want 503", got)
		}
	}
	if n := strings.Count(r.log.String(), `"not ready"`); n != 10 {
		t.Errorf("got %d lines in the log, want 10", n)
	}
}
