package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// spy is an MCP server that answers every request with what it can read of its arguments and of
// the process that started it.
const spy = `
PATH=/usr/local/bin:/usr/bin:/bin
while read -r line; do
	id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
	case $line in
	*'"initialize"'*) result='{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"spy","version":"1"}}' ;;
	*'"tools/call"'*)
		read=
		for f in "$@" /proc/$PPID/mem /proc/$PPID/environ /proc/$PPID/maps; do
			if (: < "$f") 2>/dev/null; then read="$read $f;"; fi
		done
		if ls /proc/$PPID/fd >/dev/null 2>&1; then read="$read fd;"; fi
		result="{\"content\":[{\"type\":\"text\",\"text\":\"uid $(id -u) reads:$read\"}]}" ;;
	*) result='{}' ;;
	esac
	if [ -n "$id" ]; then printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"; fi
done`

// guarding is a keyctl guard that runs as a process.
type guarding struct {
	t   *testing.T
	cmd *exec.Cmd
	url string
	mu  sync.Mutex
	log strings.Builder
}

func startGuard(t *testing.T, args ...string) *guarding {
	t.Helper()
	g := &guarding{t: t, cmd: exec.Command("keyctl", append([]string{"guard", "--listen", "127.0.0.1:0"}, args...)...)}
	g.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	stderr, err := g.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found, ended := make(chan string, 10), make(chan error, 1)
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			g.mu.Lock()
			fmt.Fprintln(&g.log, lines.Text())
			g.mu.Unlock()
			if at := listeningAt.FindStringSubmatch(lines.Text()); at != nil {
				found <- at[1]
			}
		}
		ended <- g.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = g.cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Errorf("keyctl guard: ended with %v:\n%s", err, g.text())
		}
	})
	select {
	case g.url = <-found:
	case err := <-ended:
		ended <- nil
		t.Fatalf("keyctl guard: ended with %v before it listened:\n%s", err, g.text())
	}
	return g
}

func (g *guarding) text() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.String()
}

// call initializes a session and calls a tool.
func (g *guarding) call(secret string) string {
	g.t.Helper()
	session, answer := "", ""
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`,
		`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"spy","arguments":{}}}`,
	} {
		req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, g.url, strings.NewReader(body))
		if err != nil {
			g.t.Fatal(err)
		}
		req.Header = http.Header{
			"Accept": {"application/json, text/event-stream"}, "Content-Type": {"application/json"},
			"Authorization": {"Bearer " + secret}, "Mcp-Protocol-Version": {"2025-11-25"},
		}
		if session != "" {
			req.Header.Set("Mcp-Session-Id", session)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			g.t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			g.t.Fatalf("got %s %s, %v\n%s", resp.Status, text, err, g.text())
		}
		session, answer = resp.Header.Get("Mcp-Session-Id"), string(text)
	}
	return answer
}

// ofKeys makes a key store with an ordinary key and a verify key in a file, in a folder that
// other users may enter.
func ofKeys(t *testing.T) (db, secret, verify string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "guard")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	db, verify = filepath.Join(dir, "keys.db"), filepath.Join(dir, "verify.key")
	if err := errors.Join(os.Chmod(dir, 0o755), sqlite.Create(db, nil)); err != nil {
		t.Fatal(err)
	}
	st, err := sqlite.Open(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := admin.NewLocal(st, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	one, err := m.Issue(t.Context(), admin.IssueRequest{Name: "agent", Scopes: []string{"tools:*"}, Audience: []string{"files"}})
	if err != nil {
		t.Fatal(err)
	}
	two, err := m.Issue(t.Context(), admin.IssueRequest{Kind: keys.KindAdmin, Name: "guard", Scopes: []string{"verify"}, Audience: []string{"files"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(verify, []byte(two.Token.Reveal()), 0o600), st.Close()); err != nil {
		t.Fatal(err)
	}
	return db, one.Token.Reveal(), verify
}

// A command with --user reads nothing that the guard protects; without root, --user is refused.
// With --same-user it reads the files, and the log says so.
func TestGuardedCommandReadsNothing(t *testing.T) {
	db, secret, verify := ofKeys(t)
	files := []string{db, db + ".pepper", db + ".usage", verify}
	for _, name := range files {
		if _, err := os.Stat(name); err != nil {
			t.Fatal(err)
		}
	}
	command := append([]string{"--", "/bin/sh", "-c", spy, "spy"}, files...)
	as := func(flags ...string) []string {
		return append(append([]string{"--audience", "files", "--dir", "/", "--db", db}, flags...), command...)
	}
	refused := func(want string, flags ...string) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "keyctl", append([]string{"guard", "--listen", "127.0.0.1:0"}, as(flags...)...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("keyctl guard %q: got %v\n%s\nwant an error with %q", flags, err, out, want)
		}
	}
	if os.Geteuid() != 0 {
		refused("needs root", "--user", "nobody")
		g := startGuard(t, as("--same-user")...)
		if got := g.call(secret); !strings.Contains(got, db+";") || strings.Contains(got, "/proc/") {
			t.Errorf("with --same-user: %s", got)
		}
		if !strings.Contains(g.text(), "can read every file that this user can read") {
			t.Errorf("the log does not say what the command can read:\n%s", g.text())
		}
		return
	}
	refused("--user", "--same-user") // as root there is no trial
	refused("root", "--user", "root")
	refused("no-such-user", "--user", "no-such-user")
	g := startGuard(t, as("--user", "nobody")...)
	if got := g.call(secret); !strings.Contains(got, "uid 65534 reads:\"") {
		t.Errorf("with --user: %s", got)
	}
}

// A guard with --server has neither key store nor pepper open, and its command cannot read the
// key file.
func TestGuardFromAServerHoldsNothing(t *testing.T) {
	db, secret, verify := ofKeys(t)
	socket := filepath.Join(filepath.Dir(db), "keys.sock")
	s := &serving{t: t, db: db, ended: make(chan error, 1)}
	s.launch("--listen", "unix:"+socket)
	args := []string{"--audience", "files", "--server", "unix:" + socket, "--key-file", verify}
	want := "uid 65534 reads:\""
	if os.Geteuid() == 0 {
		args = append(args, "--user", "nobody")
	} else {
		args, want = append(args, "--same-user"), verify+";"
	}
	g := startGuard(t, append(args, "--dir", "/", "--", "/bin/sh", "-c", spy, "spy", verify)...)
	if got := g.call(secret); !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", g.cmd.Process.Pid))
	if err != nil || (len(open) == 0) != (os.Geteuid() != 0) { // only root may look
		t.Fatalf("descriptors of the guard: %v, %v", open, err)
	}
	for _, fd := range open {
		if name, _ := os.Readlink(fd); strings.HasPrefix(name, db) {
			t.Errorf("the guard has %s open", name)
		}
	}
	if os.Geteuid() == 0 {
		maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", g.cmd.Process.Pid))
		if err != nil || strings.Contains(string(maps), db) {
			t.Errorf("the key store is in the memory of the guard, or %v", err)
		}
	}
}
