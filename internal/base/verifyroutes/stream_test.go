package verifyroutes_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
)

// stream opens the stream of changes.
func (g *guard) stream() (*bufio.Reader, func()) {
	g.t.Helper()
	body, err := json.Marshal(g.from)
	if err != nil {
		g.t.Fatal(err)
	}
	r := g.Request("POST", protocol.PathChanges, g.token, string(body))
	ctx, cancel := context.WithCancel(context.Background())
	resp, err := http.DefaultTransport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		g.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" ||
		resp.Header.Get("X-Accel-Buffering") != "no" || resp.Header.Get("Cache-Control") != "no-store" {
		g.t.Fatalf("got %d %v, want a stream", resp.StatusCode, resp.Header)
	}
	return bufio.NewReader(resp.Body), func() { cancel(); _ = resp.Body.Close() }
}

// event reads one event; false at the end of the stream.
func event(in *bufio.Reader) (e protocol.Event, more bool) {
	line, err := in.ReadString('\n')
	if err != nil {
		return e, false
	}
	_, _ = in.ReadString('\n')
	return e, json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &e) == nil
}

func TestChanges(t *testing.T) {
	f := servertest.New(t)
	g := newGuard(t, f, "weather")
	at := g.renew(0).Position
	in, stop := g.stream()
	defer stop()
	if got, _ := event(in); got.To != at || got.Era != g.era || got.From != 0 || got.Drop != nil || got.Imported {
		t.Fatalf("got %+v, want the position %d and the era at once", got, at)
	}
	_, id := f.Issue(admin.IssueRequest{})
	now, err := f.Leases.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for last := at; last < now; {
		got, more := event(in)
		if !more || got.From != last || got.To <= last || got.Era != g.era || !slices.Equal(got.Drop, []protocol.Tag{g.from.Instance.TagOf(id)}) {
			t.Fatalf("got %+v, want the tag of the key from %d on", got, last)
		}
		last = got.To
	}
	if v := f.Leases.List(); len(v) != 1 || !v[0].Streaming {
		t.Errorf("got %+v, want one verifier with a stream", v)
	}
	again, stopAgain := g.stream()
	defer stopAgain()
	event(again)
	drain(in)
	f.Leases.Leave()
	drain(again)
	body, _ := json.Marshal(g.from)
	if p := g.Send("POST", protocol.PathChanges, g.token, string(body)).Problem(t); p.Status != 503 {
		t.Errorf("a stream of a server that stops: got %+v, want 503", p)
	}
	if g.renew(at).Lease == 0 {
		t.Error("a renewal of a server that stops: got no lease")
	}
}

// drain reads a stream to its end.
func drain(in *bufio.Reader) {
	for more := true; more; {
		_, more = event(in)
	}
}

// A17. The stream of a verify key ends when the key is revoked.
func TestChangesEndWithTheKey(t *testing.T) {
	f := servertest.New(t)
	g := newGuard(t, f, "weather")
	in, stop := g.stream()
	defer stop()
	event(in)
	token, err := keys.ParseToken(g.token)
	if err != nil {
		t.Fatal(err)
	}
	f.Revoke(token.ID())
	ended := make(chan struct{})
	go func() {
		drain(in)
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the stream of a revoked key did not end")
	}
}
