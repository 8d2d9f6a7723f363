package guardproxy_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/guardproxy"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
)

func TestBadConfigFiles(t *testing.T) {
	const good = `"audience":"a","upstream":"http://127.0.0.1:1/mcp"`
	k := guardtest.NewKeyring(t)
	file := filepath.Join(t.TempDir(), "guard.json")
	for _, c := range []struct{ text, field, want string }{
		{``, "config", "one JSON object"},
		{`[]`, "config", "one JSON object"},
		{`{"servers": {}}`, "config", "at least one server"},
		{`{"servers": null}`, "config", "at least one server"},
		{`{"servers": {"a": {` + good + `}}} x`, "config", "one JSON object"},
		{`{"server": {"a": {` + good + `}}}`, "config", "does not know: /server"},
		{`{"servers": {"a": {` + good + `,"upstrem":"x"}}}`, "config", "does not know: /servers/a/upstrem"},
		{`{"servers": {"a": {` + good + `,"Audience":"x"}}}`, "config", "does not know: /servers/a/Audience"},
		{`{"servers": {"a": {` + good + `,"audience":"x"}}}`, "config", "twice: /servers/a/audience"},
		{`{"servers": {"a": {` + good + `}, "a": {` + good + `}}}`, "config", "twice: /servers/a"},
		{`{"servers": {"a": {"audience": 1}}}`, "config", "wrong type: /servers/a/audience"},
		{`{"servers": {"a": {"audience": "a", "command": "npx"}}}`, "config", "wrong type: /servers/a/command"},
		{`{"servers": {"a": []}}`, "config", "wrong type: /servers/a"},
		{`{"servers": {"A": {` + good + `}}}`, "config", "name cannot be a path"},
		{`{"servers": {"../a": {` + good + `}}}`, "config", "name cannot be a path"},
		{`{"servers": {"": {` + good + `}}}`, "config", "name cannot be a path"},
		{`{"servers": {"` + strings.Repeat("a", 64) + `": {` + good + `}}}`, "config", "name cannot be a path"},
		{`{"servers": {` + strings.Repeat(" ", 1<<20) + `"a": {` + good + `}}}`, "config", "1 MiB"},

		{`{"servers": {"a": {"upstream":"http://127.0.0.1:1/mcp"}}}`, "audience", "server a: audience: is missing"},
		{`{"servers": {"a": null}}`, "audience", "server a: audience: is missing"},
		{`{"servers": {"a": {"audience":"a b","upstream":"http://127.0.0.1:1/mcp"}}}`, "audience", "server a: "},
		{`{"servers": {"a": {"audience":"a"}}}`, "upstream", "server a: upstream: is missing; name the URL of the MCP server, or its command"},
		{`{"servers": {"a": {` + good + `,"command":["x"]}}}`, "upstream", "server a: upstream: cannot be combined with a command"},
		{`{"servers": {"a": {` + good + `,"user":"nobody"}}}`, "upstream", "combined with user, same_user, dir or env"},
		{`{"servers": {"a": {` + good + `,"key_file":"x"}}}`, "key_file", "server a: key_file: is for --server"},
		{`{"servers": {"a": {` + good + `,"methods":{"x/y":"tools:*"}}}}`, "method", "server a: method: x/y needs a scope without wildcards"},
		{`{"servers": {"a": {"audience":"a","command":["x"],"upstream_header_file":"x"}}}`, "upstream_header_file", "gets secrets through env"},
		{`{"servers": {"a": {"audience":"a","command":["true"]}}}`, "user", "for a trial, same_user lets"},
		{`{"servers": {"a": {"audience":"a","upstream":"https://mcp.example/mcp"}}}`, "upstream", "with upstream_header_file"},
		{`{"servers": {"b": {` + good + `}, "a": {"audience":"a","upstream":"http://mcp.example/mcp"}}}`, "upstream", "server a: "},
	} {
		writeFile(t, file, c.text)
		o := options(k, nil)
		o.Config = file
		_, err := guardproxy.Open(o)
		wantInvalid(t, c.text[:min(len(c.text), 120)], err, c.field, c.want)
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir(), "/dev/zero"} {
		_, err := guardproxy.ReadConfig(path)
		wantInvalid(t, path, err, "config", "must name a file")
	}
	writeFile(t, file, `{"servers": {"a": {`+good+`}}}`)
	o := options(k, nil)
	o.Config, o.Keys = file, guardproxy.Keys{Server: "http://127.0.0.1:1"}
	_, err := guardproxy.Open(o)
	wantInvalid(t, "a server without a key file", err, "key_file", "server a: key_file: is missing")

	// With keys from another host there is no key store here, but the key files of all servers are.
	writeFile(t, file, `{"servers": {"a": {"audience":"a","command":["true"]}, "b": {`+good+`}}}`)
	o.Keys = guardproxy.Keys{Server: "https://keys.example", KeyFile: "verify.key"}
	_, err = guardproxy.Open(o)
	wantInvalid(t, "a command without a user", err, "user", "server a: user: is missing: name a user for the command who may not read the key files of the other servers")
}

// Each server of a file has a path and an audience of its own.
func TestSeveralServers(t *testing.T) {
	weather, news := newUpstream(t), newUpstream(t)
	set, config := withConfig(t)
	set(`{"servers": {"weather": {"audience": "weather", "upstream": "%s/mcp"}, "news": {"audience": "news", "upstream": "%s/mcp"}}}`, weather.URL, news.URL)
	r := newRig(t, nil, config)
	secret, _ := r.Issue(admin.IssueRequest{Scopes: []string{"tools:*"}, Audience: []string{"weather"}})
	c := r.client(secret, legacy)
	for path, want := range map[string]int{"/weather/mcp": 200, "/news/mcp": 401, "/mcp": 404, "/weather": 404, "/weather/mcp/": 404, "/Weather/mcp": 404, "/x/mcp": 404} {
		c.path = path
		if status, body := c.call("add"); status != want {
			t.Errorf("%s: got %d %s, want %d", path, status, body, want)
		}
	}
	if weather.got().Get("X-Mcpkeys-Audience") != "weather" || news.got() != nil {
		t.Errorf("the servers got %v and %v", weather.got(), news.got())
	}
}

// A server that stays the same keeps its sessions and processes, a removed one ends with its
// streams, and a bad file changes nothing.
func TestReload(t *testing.T) {
	u := newUpstream(t)
	u.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	})
	asUser := `"user":"nobody"`
	if command("").SameUser {
		asUser = `"same_user":true`
	}
	child := `{"audience":"weather","command":["` + binary + `"],"dir":"/","env":["` + roleVar + `=server"],` + asUser + `}`
	set, config := withConfig(t)
	set(`{"servers": {"kept": %s, "away": %s, "http": {"audience":"weather","upstream":"%s/mcp"}}}`, child, child, u.URL)
	r := newRig(t, nil, config)
	secret := r.Granted("tools:*")
	at := func(path string) *client {
		c := r.client(secret, legacy)
		c.path = path
		return c.initialize()
	}
	kept, away, overHTTP := at("/kept/mcp"), at("/away/mcp"), at("/http/mcp")
	keptPID, awayPID := kept.pid(), away.pid()
	stream, err := http.DefaultTransport.RoundTrip(overHTTP.request(http.MethodGet, ""))
	if err != nil || stream.StatusCode != http.StatusOK {
		t.Fatalf("GET: got %v, %v", stream, err)
	}
	defer stream.Body.Close()

	set(`{"servers": {"kept": %s, "bad": {}}}`, child)
	r.reloaded("the old one stays in use", 1)
	if !strings.Contains(r.log.String(), "server bad: audience: is missing") {
		t.Errorf("the log does not name the fault:\n%s", r.log.String())
	}
	set(`{"servers": {"kept": %s, "zz": {"audience":"z","command":["no-such-program"],"dir":"/",%s}}}`, child, asUser)
	r.reloaded("the old one stays in use", 2)
	if kept.pid() != keptPID || away.pid() != awayPID {
		t.Error("a bad file ended a process")
	}

	set(`{"servers": {"kept": %s}}`, child)
	r.reloaded(`"configuration reloaded"`, 1)
	eventually(t, "the process of the removed server ends", func() bool { return !running(awayPID) })
	if _, err := stream.Body.Read(make([]byte, 1)); err == nil {
		t.Error("the stream of the removed server did not end")
	}
	if kept.pid() != keptPID {
		t.Error("the server that stayed the same was restarted")
	}
	if status, body := away.call("pid"); status != http.StatusNotFound {
		t.Errorf("the removed server: got %d %s, want 404", status, body)
	}
	r.reloaded(`"configuration reloaded"`, 2)
	if kept.pid() != keptPID {
		t.Error("the same file restarted a server")
	}
}
