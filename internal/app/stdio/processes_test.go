//go:build linux

package stdio_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/app/stdio"
)

func (c *client) delete() {
	c.t.Helper()
	if res := c.do(c.request(deadline(c.t), http.MethodDelete, "")); res.StatusCode != http.StatusNoContent {
		c.t.Fatalf("DELETE: %s", res.Status)
	}
}

// What an MCP server starts ends with it, whatever it did to be left alone.
func TestDescendantsEnd(t *testing.T) {
	for _, how := range []string{"group", "session", "daemon"} {
		for _, end := range []string{"deleted", "crashed"} {
			t.Run(how+" "+end, func(t *testing.T) {
				r := newRig(t, "server")
				c := r.initialized()
				other := r.client()
				if how != "session" || end != "crashed" { // then it may belong to a session of the same key
					other.secret = c.secret
				}
				other.initialize()
				child, pid, kept := c.call("pid", ""), c.call("spawn", how), other.call("pid", "")
				if !running(pid) || !running(child) {
					t.Fatalf("not started: %s, %s", child, pid)
				}
				if how == "daemon" { // only then it says of no key that it belongs to it
					eventually(t, "its environment is empty", func() bool { return !strings.Contains(readFile("/proc/"+pid+"/environ"), "MCPKEYS") })
				}
				if end == "deleted" {
					c.delete()
				} else if got := c.call("crash", "3"); !strings.Contains(got, "exit status 3") {
					t.Errorf("crash: %s", got)
				}
				eventually(t, "the descendant ends", func() bool { return !running(pid) && !running(child) })
				if got := other.call("pid", ""); got != kept {
					t.Errorf("another session's process: got %s, want %s", got, kept)
				}
				eventually(t, "zombies are reaped", func() bool { return !exists("/proc/"+pid) && !exists("/proc/"+child) })
			})
		}
	}
}

// A descendant of another session is not taken for one that was left behind.
func TestOtherDescendantsStay(t *testing.T) {
	r := newRig(t, "server")
	a, b := r.initialized(), r.initialized()
	kept := b.call("spawn", "session")
	a.delete()
	eventually(t, "the session ends", func() bool { return r.backend.Children() == 1 })
	if !running(kept) {
		t.Error("a process of another session was ended")
	}
}

func TestServerThatIgnoresSIGTERM(t *testing.T) {
	c := newRig(t, "server").initialized()
	pid := c.call("pid", "")
	if got := c.call("ignore", ""); got != "done" {
		t.Fatal(got)
	}
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGSTOP); err != nil { // it sees neither the end of its input nor SIGTERM
		t.Fatal(err)
	}
	c.delete()
	eventually(t, "the process is killed", func() bool { return !running(pid) })
}

// Other children of the guard are left alone, and their exit status is theirs.
func TestOtherChildrenStay(t *testing.T) {
	r := newRig(t, "server")
	cmd := exec.Command("/bin/sh", "-c", "read line; exit 9")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := r.initialized()
	c.call("spawn", "daemon")
	c.delete()
	eventually(t, "the session ends", func() bool { return r.backend.Children() == 0 })
	_ = in.Close()
	eventually(t, "it ends", func() bool { return !running(strconv.Itoa(cmd.Process.Pid)) })
	r.initialized().delete()
	eventually(t, "the session ends", func() bool { return r.backend.Children() == 0 })
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 9 {
		t.Errorf("got %v, want exit status 9", cmd.ProcessState)
	}
}

// The MCP server has a session of its own, so no terminal of the guard.
func TestOwnGroupAndSession(t *testing.T) {
	pid := newRig(t, "server").initialized().call("pid", "")
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text)[strings.LastIndex(string(text), ")")+1:])
	if fields[2] != pid || fields[3] != pid || fields[4] != "0" {
		t.Errorf("group %s, session %s, terminal %s of process %s", fields[2], fields[3], fields[4], pid)
	}
}

// If the guard itself is killed, its MCP servers end too.
func TestServerEndsWithTheGuard(t *testing.T) {
	pid := killedGuard(t)
	eventually(t, "the process ends", func() bool { return !running(pid) })
}

func TestCloseEndsEverything(t *testing.T) {
	r := newRig(t, "server")
	a, b := r.initialized(), r.initialized()
	pids := []string{a.call("pid", ""), b.call("pid", ""), a.call("spawn", "session")}
	if err := r.backend.Ready(); err != nil {
		t.Errorf("Ready: %v", err)
	}
	if err := r.backend.Close(deadline(t), "the guard is stopping"); err != nil {
		t.Fatalf("Close: %v", err)
	}
	for _, pid := range pids {
		if running(pid) {
			t.Errorf("process %s runs after Close", pid)
		}
	}
	if r.backend.Ready() == nil {
		t.Error("Ready after Close: got nil")
	}
	if res := r.client().send(initialize); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("after Close: %s, want 503", res.Status)
	}
}

func TestEndKey(t *testing.T) {
	r := newRig(t, "server")
	a, b := r.initialized(), r.initialized()
	pid, kept := a.call("pid", ""), b.call("pid", "")
	var id string
	for line := range strings.Lines(a.call("env", "")) {
		if v, ok := strings.CutPrefix(line, "MCPKEYS_KEY_ID="); ok {
			id = strings.TrimSpace(v)
		}
	}
	r.backend.EndKey(id)
	eventually(t, "the process ends", func() bool { return !running(pid) })
	if !running(kept) {
		t.Error("the process of another key was ended")
	}
}

// A server that cannot be started is not ready, and the log says why.
func TestStartFails(t *testing.T) {
	script := filepath.Join(filepath.Dir(binary), "script")
	if err := errors.Join(os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o755), os.Chmod(script, 0o755)); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, "server", func(o *stdio.Options) { o.Command = []string{script} })
	res := r.client().send(initialize)
	if body := r.client().read(res); res.StatusCode != http.StatusBadGateway || !strings.Contains(body, "could not be started") {
		t.Errorf("got %s %s", res.Status, body)
	}
	if err := r.backend.Ready(); err == nil || !strings.Contains(r.log.String(), "start "+script+" in /") {
		t.Errorf("Ready: %v, log:\n%s", err, r.log)
	}
	if r.backend.Children() != 0 {
		t.Error("the place is still taken")
	}
}
