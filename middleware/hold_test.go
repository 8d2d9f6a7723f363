package middleware_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// admit admits a request with token and returns its context.
func admit(t testing.TB, g *middleware.Guard, token string) context.Context {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	r, ok := g.Admit(httptest.NewRecorder(), r)
	if !ok {
		t.Fatal("Admit: refused, want it admitted")
	}
	return r.Context()
}

// wantEnd waits until ctx ends for the reason.
func wantEnd(ctx context.Context, t *testing.T, want keys.Code) {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the context does not end")
	}
	wantEnded(t, context.Cause(ctx), want)
}

func wantEnded(t *testing.T, err error, want keys.Code) {
	t.Helper()
	var ended *middleware.EndedError
	if !errors.As(err, &ended) || ended.Code != want {
		t.Errorf("ended with %v, want %s", err, want)
	}
}

// TestHold: the context of a request ends with its key, also if the key was revoked before Hold
// was called, and the log has it once.
func TestHold(t *testing.T) {
	k := guardtest.NewKeyring(t)
	var log guardtest.Buffer
	g := k.Guard(&middleware.Options{Logger: guardtest.Logger(&log)})
	token, id := k.Issue(admin.IssueRequest{})
	admitted := admit(t, g, token)
	held, release := g.Hold(admitted)
	defer release()
	if err := g.Recheck(admitted); err != nil || held.Err() != nil {
		t.Errorf("of a good key: got %v, %v, want it held", err, held.Err())
	}
	k.Elsewhere().Revoke(id)
	wantEnded(t, g.Recheck(admitted), keys.CodeRevoked) // at once
	wantEnd(held, t, keys.CodeRevoked)
	late, release := g.Hold(admitted)
	defer release()
	wantEnd(late, t, keys.CodeRevoked)
	if n := strings.Count(log.String(), "held request ended"); n != 1 || !strings.Contains(log.String(), id) {
		t.Errorf("log: got %s, want one line with the key's id", log.String())
	}
}

// TestHoldOfAStranger: a guard does not hold a request that it did not admit.
func TestHoldOfAStranger(t *testing.T) {
	k := guardtest.NewKeyring(t)
	g := k.Guard(nil)
	for name, ctx := range map[string]context.Context{
		"not admitted":          t.Context(),
		"another guard's":       admit(t, k.Guard(nil), k.Granted()),
		"an identity by itself": keys.NewContext(t.Context(), &keys.Identity{}),
	} {
		held, release := g.Hold(ctx)
		if held.Err() == nil {
			t.Errorf("Hold of %s: got a context that lives, want one that is over", name)
		}
		release()
		wantEnded(t, g.Recheck(ctx), keys.CodeNoCredential)
	}
	held, release := g.Hold(admit(t, g, k.Granted()))
	release()
	release()
	if !errors.Is(context.Cause(held), context.Canceled) {
		t.Errorf("after release: got %v, want it canceled", context.Cause(held))
	}
}

// held notes what a watch tells it.
type held struct {
	needs atomic.Pointer[string]
	asked chan struct{} // one for each time
	ended chan error
}

func newHeld(needs string) *held {
	h := &held{asked: make(chan struct{}, 100), ended: make(chan error, 1)}
	h.needs.Store(&needs)
	return h
}

func (h *held) Enough(before, now *keys.Identity) bool {
	h.asked <- struct{}{}
	return before.Allows(*h.needs.Load()) && now.Allows(*h.needs.Load())
}

func (h *held) End(err error) { h.ended <- err }

// What is watched ends when it needs more than the key grants, also if it needs that only since a
// moment ago, and not after it was released.
func TestWatch(t *testing.T) {
	k := guardtest.NewKeyring(t)
	g := k.Guard(nil)
	token, id := k.Issue(admin.IssueRequest{Scopes: []string{"a", "b"}})
	admitted := middleware.WithoutCancel(admit(t, g, token))
	h, released := newHeld("a"), newHeld("a")
	defer g.Watch(admitted, h)()
	g.Watch(admitted, released)()
	<-h.asked
	b := "b"
	h.needs.Store(&b)
	k.Elsewhere().Change(id, func(k *keys.Key) { k.Scopes = []string{"a"} })
	select {
	case err := <-h.ended:
		wantEnded(t, err, keys.CodeInsufficientScope)
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	select {
	case err := <-released.ended:
		t.Errorf("after it was released: got %v", err)
	default:
	}
	stranger := newHeld("a")
	g.Watch(t.Context(), stranger)()
	wantEnded(t, <-stranger.ended, keys.CodeNoCredential)
}

// The context of an admitted request without its end has all else of it.
func TestWithoutCancel(t *testing.T) {
	type own struct{}
	k := guardtest.NewKeyring(t)
	g := k.Guard(nil)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+k.Granted("a"))
	ctx, cancel := context.WithTimeoutCause(context.WithValue(t.Context(), own{}, 1), time.Hour, errors.New("late"))
	defer cancel()
	r, ok := g.Admit(httptest.NewRecorder(), r.WithContext(ctx))
	if !ok {
		t.Fatal("Admit: refused")
	}
	derived := context.WithValue(r.Context(), own{}, 2)
	cancel()
	for name, c := range map[string]struct {
		of   context.Context
		want any
	}{"of the request": {r.Context(), 1}, "of one that was derived from it": {derived, 2}, "of another": {ctx, 1}} {
		got := middleware.WithoutCancel(c.of)
		if _, bounded := got.Deadline(); bounded || got.Done() != nil || got.Err() != nil || context.Cause(got) != nil {
			t.Errorf("%s: got a context that ends: %v, %v", name, got.Err(), context.Cause(got))
		}
		if got.Value(own{}) != c.want {
			t.Errorf("%s: value: got %v, want %v", name, got.Value(own{}), c.want)
		}
		child, end := context.WithCancel(got)
		if child.Err() != nil {
			t.Errorf("%s: a context that is derived from it has ended", name)
		}
		end()
		if c.of == ctx {
			continue
		}
		if err := g.Recheck(got); err != nil {
			t.Errorf("%s: Recheck: %v", name, err)
		}
		if a, b := requestid.From(got), requestid.From(c.of); a != b {
			t.Errorf("%s: the request's id: got %s, want %s", name, a, b)
		}
		if id, ok := keys.IdentityFrom(got); !ok || !id.Allows("a") {
			t.Errorf("%s: it has no identity", name)
		}
	}
}

// TestRefuseEnded: a caller without an answer so far gets the answer of a later request.
func TestRefuseEnded(t *testing.T) {
	g := guardtest.NewKeyring(t).Guard(nil)
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{&middleware.EndedError{Code: keys.CodeRevoked}, 401, "invalid_token"},
		{&middleware.EndedError{Code: keys.CodeExpired}, 401, "invalid_token"},
		{&middleware.EndedError{Code: keys.CodeIPNotAllowed}, 403, "forbidden"},
		{&middleware.EndedError{Code: keys.CodeInsufficientScope}, 503, "key_changed"},
		{&middleware.EndedError{Code: keys.CodeUnavailable}, 503, "unavailable"},
		{errors.New("another"), 503, "unavailable"},
	} {
		w := httptest.NewRecorder()
		g.RefuseEnded(w, httptest.NewRequest(http.MethodGet, "/", nil), c.err)
		if w.Code != c.status || !strings.Contains(w.Body.String(), `"code":"`+c.code+`"`) {
			t.Errorf("RefuseEnded(%v): got %d %s, want %d %s", c.err, w.Code, w.Body, c.status, c.code)
		}
		if auth := w.Header().Get("WWW-Authenticate"); (auth != "") != (c.status == 401) {
			t.Errorf("RefuseEnded(%v): challenge %q", c.err, auth)
		}
	}
}
