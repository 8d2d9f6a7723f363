package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/remote"
)

// The server is killed when it has stored the counts of a guard, and its answer is lost. The guard
// sends the same message to the server that was started again, which counts it once.
func TestCountsOnceIfTheServerIsKilled(t *testing.T) {
	var verify, id string
	var secrets []string
	var st *sqlite.Store
	s := startServingOver(t, func(db string) {
		var err error
		if st, err = sqlite.Open(db, nil); err != nil {
			t.Fatal(err)
		}
		m, err := admin.NewLocal(st, "test", nil)
		if err != nil {
			t.Fatal(err)
		}
		issue := func(r admin.IssueRequest) admin.Issued {
			r.Audience = []string{"weather"}
			issued, err := m.Issue(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			return issued
		}
		verify = issue(admin.IssueRequest{Kind: keys.KindAdmin, Name: "guard", Scopes: []string{keys.ScopeVerify}}).Token.Reveal()
		one := issue(admin.IssueRequest{Name: "ci"})
		two, err := m.Rotate(t.Context(), one.Key.ID, admin.RotateRequest{})
		if err != nil {
			t.Fatal(err)
		}
		secrets, id = []string{one.Token.Reveal(), two.Token.Reveal()}, one.Key.ID
	})
	t.Cleanup(func() { _ = st.Close() })
	stored := func() (calls int64, secrets int) {
		u, err := st.Usage(context.Background(), id, time.Time{})
		if err != nil {
			t.Errorf("Usage: %v", err)
		}
		return u.Calls(), len(u.Last)
	}

	var target atomic.Pointer[url.URL]
	aim := func() {
		u, err := url.Parse(s.url)
		if err != nil {
			t.Fatal(err)
		}
		target.Store(u)
	}
	aim()
	var messages atomic.Int64
	network := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target.Load()) },
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		ModifyResponse: func(r *http.Response) error {
			if !strings.HasSuffix(r.Request.URL.Path, "/counts") || messages.Add(1) > 1 {
				return nil
			}
			s.until("the counts are stored", func() bool { calls, _ := stored(); return calls > 0 })
			s.signal(os.Kill)
			if err := <-s.ended; err == nil {
				t.Error("keyctl serve ended with 0, want it killed")
			}
			s.launch()
			aim()
			panic(http.ErrAbortHandler) // the answer is lost
		},
	})
	t.Cleanup(network.Close)

	v, err := verifier.New(remote.New(network.URL, &remote.Options{
		Key: keys.NewSecret(verify), InsecureHTTP: true, Logger: slog.New(slog.DiscardHandler),
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	const requests = 6
	for i := range requests {
		if d := v.Authenticate(t.Context(), secrets[i%2], verifier.Call{Audience: "weather"}); !d.Valid() {
			t.Fatalf("Authenticate: got %s: %v, want valid", d.Code, d.Cause)
		}
	}
	if err := v.Close(); err != nil {
		t.Errorf("Close: got %v, want the counts delivered", err)
	}
	if got, used := stored(); got != requests || used != 2 || messages.Load() != 2 {
		t.Errorf("got %d calls with %d secrets, of %d messages, want %d with 2, of 2: one message, which was repeated", got, used, messages.Load(), requests)
	}
}
