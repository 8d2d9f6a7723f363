package verifyroutes_test

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
)

// pipes is a listener whose connections keep nothing: a write waits for a read.
type pipes struct{ conns chan net.Conn }

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error { close(p.conns); return nil }

func (pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// slowStream opens a stream and reads nothing of it.
func (g *guard) slowStream(p pipes) net.Conn {
	g.t.Helper()
	client, conn := net.Pipe()
	g.t.Cleanup(func() { _ = client.Close() })
	p.conns <- conn
	body, err := json.Marshal(g.from)
	if err != nil {
		g.t.Fatal(err)
	}
	if err := g.Request("POST", protocol.PathChanges, g.token, string(body)).Write(client); err != nil {
		g.t.Fatal(err)
	}
	return client
}

// A22. For a reader that reads nothing the server keeps one event, whatever changes, and it ends
// the stream. Other streams are not delayed.
func TestA22ReaderThatReadsNothing(t *testing.T) {
	f := servertest.New(t)
	p := pipes{make(chan net.Conn, 1)}
	srv := &http.Server{Handler: f.API.Handler(), ReadHeaderTimeout: time.Minute}
	ended := make(chan struct{})
	go func() {
		_ = srv.Serve(p)
		close(ended)
	}()
	t.Cleanup(func() { _ = srv.Close(); <-ended })

	g, other := newGuard(t, f, "weather"), newGuard(t, f, "weather")
	streams := func() bool {
		for _, v := range f.Leases.List() {
			if v.Instance == g.from.Instance.Short() {
				return v.Streaming
			}
		}
		return false
	}
	g.renew(0)
	client := g.slowStream(p)
	until(t, "the stream is open", streams)
	in, stop := other.stream()
	defer stop()
	first, _ := event(in)
	for at := first.To; ; {
		f.Issue(admin.IssueRequest{})
		got, more := event(in)
		if !more || got.From != at {
			t.Fatalf("got %+v, want the change after %d", got, at)
		}
		if at = got.To; at >= first.To+20 {
			break
		}
	}
	g.renew(0) // the list has guards with a lease
	until(t, "the stream of the reader that reads nothing has ended", func() bool { g.renew(0); return !streams() })
	_ = client.Close()

	slow := g.slowStream(p) // this one reads late
	read := bufio.NewReader(slow)
	resp, err := http.ReadResponse(read, nil)
	if err != nil {
		t.Fatal(err)
	}
	late := bufio.NewReader(resp.Body)
	begun, _ := event(late)
	for range 20 {
		f.Issue(admin.IssueRequest{})
	}
	now, err := f.Leases.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	events := 0
	for at := begun.To; at < now; events++ {
		got, more := event(late)
		if !more { // it was too late, on a busy machine
			break
		}
		if got.From != at {
			t.Fatalf("got %+v, want all changes after %d", got, at)
		}
		at = got.To
	}
	if events > 2 {
		t.Errorf("got %d events, want one that was being sent, and one for all changes after it", events)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
