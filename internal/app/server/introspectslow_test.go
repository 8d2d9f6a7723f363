package server_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
)

// Attack A1: callers without a valid key announce a form and do not send it, to hold connections
// and memory. The fixture's server has no deadline of its own.
func TestA1FormsThatDoNotArrive(t *testing.T) {
	f := servertest.New(t)
	for name, tc := range map[string]struct{ header, answer string }{
		"no key":         {"", "408"},
		"an invalid key": {"Authorization: Bearer junk\r\n", "401"},
		"Basic":          {"Authorization: Basic eDp5\r\n", "401"},
		"X-API-Key":      {"X-API-Key: junk\r\n", "401"},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(f.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		_, err = io.WriteString(conn, "POST /v1/introspect HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
			tc.header+"Content-Length: 100\r\n\r\ntoken=x")
		if err != nil {
			t.Fatal(err)
		}
		start := make([]byte, len("HTTP/1.1 408"))
		if _, err := io.ReadFull(conn, start); err != nil || string(start) != "HTTP/1.1 "+tc.answer {
			t.Errorf("%s: got %q, %v, want %s", name, start, err, tc.answer)
		}
		_ = conn.Close()
	}
}
