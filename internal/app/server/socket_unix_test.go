//go:build unix

package server_test

import (
	"context"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/server"
	"github.com/mcpkeys/mcpkeys/internal/base/filemode"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
)

// over is a client that reaches the server through its socket.
func over(path string) *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}}
}

// refused runs a server that must not start, and returns why.
func refused(t *testing.T, o server.Options) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := server.Run(ctx, o)
	if err == nil {
		t.Fatalf("Run at %s: it started", o.Listen)
	}
	return err.Error()
}

func TestServeAtASocket(t *testing.T) {
	f := servertest.New(t)
	path := filepath.Join(t.TempDir(), "s")
	o := server.Options{DB: f.Path, Listen: "unix:" + path}
	log, stop := start(t, o, 1)
	if got := addressIn(t, log); got != "unix:"+path {
		t.Errorf("log: got url %q, want unix:%s", got, path)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket || info.Mode().Perm() != 0o600 {
		t.Fatalf("got %v, %v, want a socket with mode 0600", info.Mode(), err)
	}
	for _, host := range []string{"localhost", "whatever"} { // a web page cannot reach it
		resp, err := over(path).Get("http://" + host + "/readyz")
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("GET with Host %s: got %v, %v, want 200", host, resp, err)
		}
		_ = resp.Body.Close()
	}
	if got := refused(t, o); !strings.Contains(got, "another server listens at "+path) {
		t.Errorf("a second server: got %q", got)
	}
	if _, err := over(path).Get("http://localhost/readyz"); err != nil {
		t.Errorf("after a second server was refused: got %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: got %v", err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is still there")
	}
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close() // as a server that was killed
	t.Setenv(filemode.Variable, "1")
	_, stop = start(t, o, 1)
	info, err = os.Lstat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("with the group allowed: got %v, %v, want 0660", info.Mode(), err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run over a stale socket: got %v", err)
	}
}

func TestServeRefusesOtherSockets(t *testing.T) {
	f := servertest.New(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for listen, want := range map[string]string{
		"unix:":                                 "must name a socket after unix:",
		"unix:/" + strings.Repeat("x", 103):     "must name a socket after unix:",
		"unix:" + file:                          "is not a socket",
		"unix:" + filepath.Join(dir, "no", "s"): "not found; make it first",
	} {
		if got := refused(t, server.Options{DB: f.Path, Listen: listen}); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", listen, got, want)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf("the file that is not a socket: got %q, %v, want it as it was", text, err)
	}
}

// A server that stops ends its streams at once, and grants leases until it closes its listener.
func TestStopEndsStreams(t *testing.T) {
	f := servertest.New(t)
	token := f.VerifyKey("weather")
	path := filepath.Join(t.TempDir(), "s")
	_, stop := start(t, server.Options{DB: f.Path, Listen: "unix:" + path, Drain: 500 * time.Millisecond}, 1)
	post := func(to, body string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost"+to, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		return over(path).Do(r)
	}
	const from = `{"instance":"000102030405060708090a0b0c0d0e0f"`
	stream, err := post("/v1/lease/changes", from+`}`)
	if err != nil || stream.StatusCode != http.StatusOK {
		t.Fatalf("got %v, %v, want a stream", stream, err)
	}
	ended := make(chan time.Duration, 1)
	began := time.Now()
	go func() {
		for buffer := make([]byte, 100); ; {
			if _, err := stream.Body.Read(buffer); err != nil {
				ended <- time.Since(began)
				return
			}
		}
	}()
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	if took := <-ended; took > 400*time.Millisecond {
		t.Errorf("the stream ended after %v, want at once", took)
	}
	renewal, err := post("/v1/lease", from+`,"applied":"0"}`)
	if err != nil || renewal.StatusCode != http.StatusOK || !renewal.Close {
		t.Errorf("a renewal while it stops: got %v, %v, want 200 that closes the connection", renewal, err)
	}
	if err := <-stopped; err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("Run: got %v after %v, want the end soon", err, time.Since(began))
	}
}
