package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// serve takes the socket that systemd opened, and tells it when it is ready and when it stops.
func TestServeUnderSystemd(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "keys.db")
	if err := sqlite.Create(db, nil); err != nil {
		t.Fatal(err)
	}
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "n"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	hears := func(want string) {
		t.Helper()
		_ = told.SetReadDeadline(time.Now().Add(patience))
		text := make([]byte, 100)
		n, err := told.Read(text)
		if err != nil || string(text[:n]) != want {
			t.Fatalf("systemd hears %q, %v, want %s", text[:n], err, want)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	passed, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec keyctl serve --drain 0 --db "$0"`, db)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(dir, "n"), "GORACE=atexit_sleep_ms=0")
	cmd.ExtraFiles = []*os.File{passed}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	_, _ = passed.Close(), l.Close() // the server has its own
	hears("READY=1")
	resp, err := http.Get("http://" + l.Addr().String() + "/readyz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("at the socket of systemd: got %v, %v, want 200", resp, err)
	} else {
		_ = resp.Body.Close()
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hears("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Errorf("serve: ended with %v, want 0", err)
	}
}
