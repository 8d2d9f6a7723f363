//go:build linux

package stdio_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/app/stdio"
)

// rigWithNote is a rig whose server writes a cancellation to a file.
func rigWithNote(t *testing.T, role string) (*rig, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "note") // that another user may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	note := filepath.Join(dir, "cancelled")
	return newRig(t, role, func(o *stdio.Options) { o.Env = append(o.Env, "STDIO_TEST_CANCELLED="+note) }), note
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func TestSessionsHaveTheirOwnProcess(t *testing.T) {
	r := newRig(t, "server")
	a, b := r.initialized(), r.initialized()
	if len(a.session) != 32 || a.session == b.session {
		t.Errorf("session ids: %q and %q, want 128 random bits each", a.session, b.session)
	}
	if x, y := a.call("pid", ""), b.call("pid", ""); x == y || x != a.call("pid", "") {
		t.Errorf("processes: %s and %s", x, y)
	}
	b.session = a.session
	if res := b.send(b.callBody("1", "pid", "")); res.StatusCode != http.StatusNotFound {
		t.Errorf("a session of another key: %s, want 404", res.Status)
	}
}

func TestDeleteEndsTheProcess(t *testing.T) {
	c := newRig(t, "server").initialized()
	pid := c.call("pid", "")
	if res := c.do(c.request(deadline(t), http.MethodDelete, "")); res.StatusCode != http.StatusNoContent {
		t.Fatalf("DELETE: %s", res.Status)
	}
	eventually(t, "the process ends", func() bool { return !running(pid) })
	if res := c.send(c.callBody("1", "pid", "")); res.StatusCode != http.StatusNotFound {
		t.Errorf("after DELETE: %s, want 404", res.Status)
	}
}

// Requests and ids pass to the process of a session byte for byte.
func TestSessionPassesBytes(t *testing.T) {
	c := newRig(t, "server").initialized()
	sent := `{ "id" : 1e0,"jsonrpc":"2.0","method":"tools/call" , "params":{"arguments":{"a":1.50,"a":2},"name":"line","_meta":{"progressToken":"t"}}}`
	res := c.send(strings.ReplaceAll(sent, ` , `, "\r\n, "))
	body := c.read(res)
	if got, want := c.text(body), strings.ReplaceAll(sent, ` , `, `  , `); got != want {
		t.Errorf("the server got\n%s, want\n%s", got, want)
	}
	if !strings.Contains(body, `"id":1e0`) || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("answer: %s %s", res.Header.Get("Content-Type"), body)
	}
}
