package sqlite_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/server"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	guards "github.com/mcpkeys/mcpkeys/verifier/remote"
)

// A17. The program that revokes is stopped between COMMIT and the move of the epoch, while a guard
// on another host has a lease, and then the network of the guard fails: with the lease of before
// the commit, or with one that was granted during the pause. The guard may accept the key until
// revoke returns, and never after that.
func TestA17PauseBeforeTheAnnouncement(t *testing.T) {
	for renewals, what := range []string{"a lease of before the commit", "a lease of the pause"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			// With a lease of the pause it may accept nothing.
			for acceptedInPause(t, renewals) == 0 && renewals == 0 {
				t.Log("the lease ended before the guard was asked, which shows nothing: once more")
			}
		})
	}
}

// acceptedInPause is how often the guard accepted the key between COMMIT and the return of
// revoke. The guard's lease is of that many renewals after the commit.
func acceptedInPause(t *testing.T, renewals int) (accepted int) {
	t.Helper()
	path := create(t)
	s, reader := open(t, path), open(t, path)
	one := issue(t, s, admin.IssueRequest{Name: "ci"})
	n := newNetwork(t, serveAt(t, path))
	v := guardAt(t, n.URL, issue(t, s, admin.IssueRequest{
		Name: "guard", Kind: keys.KindAdmin, Scopes: []string{keys.ScopeVerify}, Audience: []string{"weather"},
	}).Token)
	accepts := func() bool {
		return v.Authenticate(t.Context(), one.Token.Reveal(), verifier.Call{Audience: "weather"}).Valid()
	}
	for before := n.renewals.Load(); n.renewals.Load() < before+2; time.Sleep(time.Millisecond) { // it has a lease, and remembers the key
		if !accepts() {
			t.Fatal("the guard refuses the key before it is revoked")
		}
	}

	resume := pauseAfterCommit(t, s, func() {
		if renewals == 0 {
			n.fail()
		}
	})
	returned := make(chan revoked, 1)
	go func() { returned <- revoke(context.Background(), t, s, one.Key.ID, store.Wait{}) }()
	for committed := false; !committed; time.Sleep(time.Millisecond) {
		k, err := reader.Key(t.Context(), one.Key.ID)
		committed = err == nil && !k.RevokedAt.IsZero()
	}
	for before := n.renewals.Load(); n.renewals.Load() < before+int64(renewals); {
		time.Sleep(time.Millisecond)
	}
	n.fail()
	if accepts() {
		accepted++
	}
	if len(returned) > 0 {
		t.Fatal("revoke returned before the change was announced, so this test shows nothing")
	}
	resume()
	for len(returned) == 0 {
		if accepts() {
			accepted++
		}
	}
	for range 1000 {
		if accepts() {
			t.Fatal("the guard accepts the key after revoke returned")
		}
	}
	if r := <-returned; r.err != nil {
		t.Errorf("Revoke: %v", r.err)
	}
	return accepted
}

// pauseAfterCommit stops the next change of s between COMMIT and its announcement, for which it
// reads the database again: no connection for that is free until resume. At is called in the
// commit.
func pauseAfterCommit(t *testing.T, s *sqlite.Store, at func()) (resume func()) {
	t.Helper()
	over, first := make(chan struct{}), true
	onCommit(t, s, func() {
		if !first {
			return
		}
		first = false
		s.Connections().SetMaxOpenConns(1)
		conn, err := s.Connections().Conn(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		at()
		go func() {
			<-over
			s.Connections().SetMaxOpenConns(0)
			_ = conn.Close()
		}()
	})
	return func() { close(over) }
}

// serveAt runs keyctl serve at a socket, until the test ends.
func serveAt(t *testing.T, path string) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- server.Run(ctx, server.Options{DB: path, Listen: "unix:" + socket, Logger: slog.New(slog.DiscardHandler)})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	for _, err := os.Stat(socket); err != nil; _, err = os.Stat(socket) {
		if len(done) > 0 {
			t.Fatalf("Run: %v", <-done)
		}
		time.Sleep(time.Millisecond)
	}
	return socket
}

func guardAt(t *testing.T, address string, key keys.Secret) *verifier.Verifier {
	t.Helper()
	v, err := verifier.New(guards.New(address, &guards.Options{
		Key: key, InsecureHTTP: true, Logger: slog.New(slog.DiscardHandler),
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() }) // its last counts do not reach the server
	return v
}

// network lies between a guard and a server.
type network struct {
	*httptest.Server
	cut      atomic.Bool
	renewals atomic.Int64 // answers that were let through
}

// fail also ends what is under way, such as the stream of changes.
func (n *network) fail() {
	n.cut.Store(true)
	n.CloseClientConnections()
}

func newNetwork(t *testing.T, socket string) *network {
	t.Helper()
	n := &network{}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "127.0.0.1"}) },
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}},
		ModifyResponse: func(r *http.Response) error {
			if n.cut.Load() {
				panic(http.ErrAbortHandler)
			}
			if strings.HasSuffix(r.Request.URL.Path, protocol.PathLease) {
				n.renewals.Add(1)
			}
			return nil
		},
	}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.cut.Load() {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(n.CloseClientConnections)
	return n
}
