package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/app/server"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
)

// A connection on which a client has sent nothing, as proxies keep them ready, does not hold up
// the end of the server. A request that is half sent does: it is answered.
func TestEndWaitsForRequestsOnly(t *testing.T) {
	f := servertest.New(t)
	cert, key, _ := certificate(t)
	for name, o := range map[string]server.Options{
		"":         {DB: f.Path, Listen: "127.0.0.1:0"},
		" of both": {DB: f.Path, Listen: "127.0.0.1:0", VerifyListen: "127.0.0.1:0"},
		" of TLS":  {DB: f.Path, Listen: "127.0.0.1:0", TLSCert: cert, TLSKey: key},
	} {
		lines := 2
		if o.VerifyListen != "" {
			lines = 3
		}
		log, stop := start(t, o, lines)
		address := log[strings.LastIndex(log, "127.0.0.1:"):]
		address = address[:strings.IndexAny(address, " \n/")]
		dial := func(send string) net.Conn {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			_, _ = io.WriteString(conn, send)
			return conn
		}
		half := dial("GET /healthz HTT") // its time ends before that of the next one
		silent := dial("")
		if o.TLSCert == "" {
			first, err := http.ReadResponse(bufio.NewReader(dial("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")), nil)
			if err != nil || first.StatusCode != http.StatusOK {
				t.Fatalf("%s: got %v, %v", name, first, err)
			}
		}
		stopped := make(chan error, 1)
		go func() { stopped <- stop() }()
		if n, err := silent.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("the silent connection%s: got %d bytes, %v", name, n, err)
		}
		if o.TLSCert == "" {
			_, _ = io.WriteString(half, "P/1.1\r\nHost: localhost\r\n\r\n")
			a, err := http.ReadResponse(bufio.NewReader(half), nil)
			if err != nil || a.StatusCode != http.StatusOK || !a.Close {
				t.Errorf("the rest of a request%s: got %v, %v, want 200 and the end of the connection", name, a, err)
			}
		}
		_ = half.Close()
		if err := <-stopped; err != nil {
			t.Errorf("Run%s: %v", name, err)
		}
	}
}
