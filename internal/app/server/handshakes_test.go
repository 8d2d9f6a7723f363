package server_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

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
