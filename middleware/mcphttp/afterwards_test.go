package mcphttp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcphttp"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// delayed is a verifier whose holds end when the test says so: the goroutine that ends a hold may
// get the processor late.
type delayed struct {
	*verifier.Verifier
	begins  chan struct{}
	proceed chan struct{}
	ended   chan struct{}
}

func (v delayed) Hold(d keys.Decision, call verifier.Call, enough func(*keys.Identity) bool, ended func(keys.Code)) (release func()) {
	return v.Verifier.Hold(d, call, enough, func(code keys.Code) {
		v.begins <- struct{}{}
		<-v.proceed
		ended(code)
		v.ended <- struct{}{}
	})
}

// deadlines counts the deadlines that are set after the request was answered.
type deadlines struct {
	http.ResponseWriter
	answered, late *atomic.Bool
}

func (d *deadlines) Unwrap() http.ResponseWriter { return d.ResponseWriter }

func (d *deadlines) SetWriteDeadline(at time.Time) error {
	if d.answered.Load() {
		d.late.Store(true)
		return nil
	}
	return http.NewResponseController(d.ResponseWriter).SetWriteDeadline(at)
}

// The end of a key that comes when its request was just answered leaves the connection alone: it
// serves the next request already, and over HTTP/2 the writer of the answer no longer exists.
func TestEndAfterTheAnswer(t *testing.T) {
	began := make(chan struct{})
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-r.Context().Done()
	})
	k := guardtest.NewKeyring(t)
	v := delayed{k.Verifier(), make(chan struct{}), make(chan struct{}), make(chan struct{})}
	endpoint := mcphttp.Handler(middleware.New(v, &middleware.Options{Audience: guardtest.Audience}), next, nil)
	answered := make(chan struct{})
	var over, late atomic.Bool
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		endpoint.ServeHTTP(&deadlines{w, &over, &late}, r)
		over.Store(true)
		answered <- struct{}{}
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	s := &site{Keyring: k, t: t, url: srv.URL}
	token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:add"}})
	r := callOf(modern, "add")
	r.token = token
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	go func() {
		resp, err := srv.Client().Transport.RoundTrip(s.request(r).WithContext(ctx))
		if err == nil {
			_ = resp.Body.Close()
		}
	}()
	<-began
	s.Revoke(id)
	<-v.begins
	leave()
	<-answered
	v.proceed <- struct{}{}
	<-v.ended
	if late.Load() {
		t.Error("a deadline was set on the writer of an answer that was finished")
	}
}

// kept notes the deadline that a request leaves behind on its connection.
type kept struct {
	http.ResponseWriter
	set *atomic.Int64
}

func (d *kept) Unwrap() http.ResponseWriter { return d.ResponseWriter }

func (d *kept) SetWriteDeadline(at time.Time) error {
	d.set.Add(1)
	if at.IsZero() {
		d.set.Store(0)
	}
	return http.NewResponseController(d.ResponseWriter).SetWriteDeadline(at)
}

// A list that ends with its key leaves no deadline on the connection, which serves further requests.
func TestEndedListLeavesNoDeadline(t *testing.T) {
	began := make(chan struct{})
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-r.Context().Done()
	})
	k := guardtest.NewKeyring(t)
	endpoint := mcphttp.Handler(k.Guard(nil), next, nil)
	var set atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		endpoint.ServeHTTP(&kept{w, &set}, r)
	}))
	t.Cleanup(srv.Close)
	s := &site{Keyring: k, t: t, url: srv.URL}
	for range 20 {
		token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:add", "tools:other"}})
		r := message(modern, "tools/list", "", "{}")
		r.token = token
		answer := make(chan string)
		go func() {
			_, body := s.post(r)
			answer <- body
		}()
		<-began
		s.Change(id, func(k *keys.Key) { k.Scopes = []string{"tools:add"} })
		if body := <-answer; set.Load() != 0 {
			t.Fatalf("after the answer %s a deadline is left", body)
		}
	}
}

// interrupted is a verifier that something happens to before it holds a call.
type interrupted struct {
	*verifier.Verifier
	by func(keyID string)
}

func (v interrupted) Hold(d keys.Decision, call verifier.Call, enough func(*keys.Identity) bool, ended func(keys.Code)) (release func()) {
	v.by(d.KeyID)
	return v.Verifier.Hold(d, call, enough, ended)
}

// A revoke that returns when a call was judged, but its server does not have it yet, stops the call.
func TestRevokeBeforeTheServerHasTheCall(t *testing.T) {
	s := newSite(t, http.NotFoundHandler(), nil)
	guard := middleware.New(interrupted{s.Verifier(), s.Revoke}, &middleware.Options{Audience: guardtest.Audience})
	s.serve(mcphttp.Handler(guard, s.record(http.NotFoundHandler()), nil))
	for _, r := range []request{callOf(modern, "add"), callOf(legacy, "add")} {
		r.token = s.Granted("tools:add")
		status, body := s.post(r)
		if saw := s.reached(); len(saw) > 0 {
			t.Errorf("%s: the server got %s", r.version, saw[0].body)
		}
		if answer := idsIn(t, body)["7"]; status != http.StatusOK || !strings.Contains(answer, `"code":"invalid_token"`) {
			t.Errorf("%s: got %d %s, want the end of the call", r.version, status, body)
		}
	}
}
