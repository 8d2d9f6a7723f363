package guardtest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Begin sends r, with its body but for the last byte, and waits until the guard has checked its
// key. Finish sends the last byte and returns the answer.
func (k *Keyring) Begin(t testing.TB, r *http.Request) (finish func() (status int, body string)) {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", r.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var head strings.Builder
	_ = r.Header.Write(&head) // a Builder takes everything
	before, last := k.checks.Load(), len(text)-1
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%s\r\n%s", r.Method, r.URL.Path, r.URL.Host, len(text), head.String(), text[:last])
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); k.checks.Load() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the key of the request was not checked within 20 s")
		}
	}
	return func() (int, string) {
		if _, err := conn.Write(text[last:]); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
}
