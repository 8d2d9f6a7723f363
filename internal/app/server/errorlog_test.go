package server_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/server"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
)

// The attack: a client without a key opens connections that fail in the TLS handshake, as fast
// as the network allows, so that their log lines fill the disk.
func TestFailedHandshakesCannotFillTheLog(t *testing.T) {
	f := servertest.New(t)
	f.Admin()
	cert, key, _ := certificate(t)
	l := &logTo{lines: make(chan string, 1000)}
	log, stop := startWith(t, l, server.Options{DB: f.Path, Listen: "127.0.0.1:0", TLSCert: cert, TLSKey: key}, 1)
	at := strings.TrimPrefix(addressIn(t, log), "https://")
	const failed = 60
	for range failed {
		conn, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn) // until the server closes
		_ = conn.Close()
	}
	if err := stop(); err != nil { // waits for all connections, and so for their log lines
		t.Errorf("Run: %v", err)
	}
	if n := strings.Count(l.text(), "TLS handshake error"); n == 0 || n == failed {
		t.Errorf("%d failed handshakes: got %d lines, want some and not all", failed, n)
	}
}

// lockedBuffer is also written by a timer's goroutine.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Ten lines a minute of each kind, then one with the number of the others. A flood of
// handshakes does not hide other errors, and probes of the port are not logged as failures.
func TestErrorLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b lockedBuffer
		log := server.NewErrorLog(slog.New(slog.NewTextHandler(&b, nil)))
		for range 40 {
			log.Print("http: TLS handshake error from 192.0.2.7:4711: EOF")
			log.Print("http: TLS handshake error from 192.0.2.7:4711: remote error: tls: bad certificate")
		}
		log.Print("http: Accept error: too many open files; retrying in 5ms")
		for text, want := range map[string]int{": EOF": 0, "bad certificate": 10, "too many open files": 1, "not_logged": 0} {
			if n := strings.Count(b.String(), text); n != want {
				t.Errorf("%s: got %d lines, want %d", text, n, want)
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := strings.Count(b.String(), "not_logged=30"); n != 1 || strings.Count(b.String(), "not_logged") != 1 {
			t.Errorf("after a minute: got %s, want one line with the number 30", b.String())
		}
	})
}
