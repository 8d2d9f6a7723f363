package middleware_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
)

// The attack: a client, or a proxy that moves headers, sends a key in the trailer of a chunked
// body. A handler that logs or forwards r.Trailer would pass on a secret.
func TestNoKeyReachesHandlersInATrailer(t *testing.T) {
	k := guardtest.NewKeyring(t)
	token, _ := k.Issue(admin.IssueRequest{Name: "ci"})
	saw := make(chan http.Header, 1)
	guard := k.Guard(nil)
	srv := httptest.NewServer(guard.Require()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		saw <- r.Trailer
	})))
	defer srv.Close()
	for _, announced := range []string{"", "Trailer: X-Api-Key, X-Note\r\n"} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n%s\r\n", token, announced)
		fmt.Fprintf(conn, "2\r\nhi\r\n0\r\nX-Api-Key: %s\r\nX-Note: %s\r\n\r\n", token, token)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("POST: got %v, %v, want 200", resp, err)
		}
		_ = resp.Body.Close()
		_ = conn.Close()
		if got := <-saw; len(got) > 0 {
			t.Errorf("trailers (%q): the handler saw %d of them, want none", announced, len(got))
		}
	}
}
