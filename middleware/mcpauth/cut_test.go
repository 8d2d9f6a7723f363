package mcpauth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
)

// Attack: a key is revoked while a tool runs that ignores its context, and the client waits for
// the result. The answer ends before the tool does, and the result is dropped.
func TestResultOfAHeedlessToolIsNotDelivered(t *testing.T) {
	for _, version := range eras {
		for _, json := range []bool{false, true} {
			for _, tells := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s json=%v begun=%v", version, json, tells), func(t *testing.T) {
					s := newSite(t, nil)
					s.serve(&mcpauth.Options{HTTP: &mcp.StreamableHTTPOptions{JSONResponse: json}})
					tool := s.slow("deaf", false, tells)
					s.slows = map[string]*slow{"deaf": tool}
					token, id := s.Issue(admin.IssueRequest{Scopes: []string{"tools:*"}})
					session := ""
					if version < modern {
						session = s.open(token)
					}
					a := s.beginCall(version, token, session, "deaf")
					s.Elsewhere().Revoke(id)
					status, body := a.end()
					if status != http.StatusOK || strings.Contains(body, slowSecret) {
						t.Errorf("answer: got %d %s, want an error in place of the result", status, body)
					}
					wantEnding(t, body, 7, `"code":"invalid_token"`, "no longer valid")
					tool.wantCause(t, keys.CodeRevoked)
					close(tool.goOn)
				})
			}
		}
	}
}

// Attack: the holder of a revoked key still listens to a stream that was not closed yet. What
// the server sends after the revoke has returned does not reach it.
func TestNothingIsHeardAfterARevoke(t *testing.T) {
	for _, i := range []int{0, 1} { // the kinds of stream
		s := newSlowSite(t)
		elsewhere := s.Elsewhere()
		kind := kinds[i*(len(kinds)-1)]
		for range 5 {
			token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
			o := kind.open(s, token)
			if o.session != "" {
				s.subscribe(token, o.session, "res://a")
			}
			s.updated("res://a")
			o.event("res://a")
			elsewhere.Revoke(id)
			s.updated("res://a")
			for session := range s.server.Sessions() {
				_ = session.NotifyProgress(t.Context(), &mcp.ProgressNotificationParams{ProgressToken: "p", Message: "afterwards"})
			}
			if _, body := o.end(); strings.Count(body, "notifications/resources/updated") != 1 || strings.Contains(body, "afterwards") {
				t.Errorf("%s: got %s, want what was said before the revoke", kind.name, body)
			}
		}
	}
}

// TestSessionClosesWithItsKey: also one without an open request, to whose client the server
// could not send anything.
func TestSessionClosesWithItsKey(t *testing.T) {
	s := newSlowSite(t)
	token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
	mine := s.open(token)
	theirs := s.open(s.Granted(slowScopes...))
	closed := s.closing(mine)
	s.Elsewhere().Revoke(id)
	wantClosed(t, closed)
	for session := range s.server.Sessions() {
		if session.ID() != theirs {
			t.Errorf("Sessions: got %s, want %s alone", session.ID(), theirs)
		}
	}
}

// TestRotatedKeyKeepsItsSession: a session that was opened with the old secret and is used with
// the new one does not end with the old one's grace; a request made with the old secret does.
func TestRotatedKeyKeepsItsSession(t *testing.T) {
	s := newSlowSite(t)
	old, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
	session := s.open(old)
	stream := s.begin(request{token: old, session: session, version: legacy})
	stream.event(": ok")
	fresh := s.Rotate(id, time.Hour)
	call := callOf(legacy, "quick")
	call.token, call.session = fresh, session
	if status, body := s.post(call); status != http.StatusOK {
		t.Fatalf("with the new secret: got %d %s", status, body)
	}
	s.Elsewhere().Change(id, func(k *keys.Key) { k.Secrets[0].ExpiresAt = now() })
	stream.end()
	again := s.begin(request{token: fresh, session: session, version: legacy})
	again.event(": ok")
	if status, body := s.post(call); status != http.StatusOK {
		t.Errorf("after the grace: got %d %s, want 200", status, body)
	}
	call.token = old
	if status, _ := s.post(call); status != http.StatusUnauthorized {
		t.Errorf("with the old secret: got %d, want 401", status)
	}
}

// A session whose requests were all made with the old secret does not end with the old one's grace:
// its client continues with the new one. It ends with the key.
func TestSessionOutlivesItsSecret(t *testing.T) {
	s := newSlowSite(t)
	old, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
	session := s.open(old)
	stream := s.begin(request{token: old, session: session, version: legacy})
	stream.event(": ok")
	fresh := s.Rotate(id, time.Hour)
	s.Elsewhere().Change(id, func(k *keys.Key) { k.Secrets[0].ExpiresAt = now() })
	stream.end()
	call := callOf(legacy, "quick")
	call.session, call.token = session, old
	for range 100 { // in which a session that ends is gone
		if status, _ := s.post(call); status != http.StatusUnauthorized {
			t.Fatalf("with the old secret: got %d, want 401", status)
		}
	}
	call.token = fresh
	if status, body := s.post(call); status != http.StatusOK {
		t.Errorf("with the new secret: got %d %s, want 200", status, body)
	}
	again := s.begin(request{token: fresh, session: session, version: legacy})
	again.event(": ok")
	s.Revoke(id)
	again.end()
}

// Attack: a key subscribes to two resources in a session, is narrowed to one, and stays in the
// session to be told about both.
func TestNarrowedSessionHearsOfNoMore(t *testing.T) {
	s := newSlowSite(t)
	token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
	session := s.open(token)
	for _, uri := range []string{"res://a", "res://b"} {
		s.subscribe(token, session, uri)
	}
	get := request{token: token, session: session, version: legacy}
	stream := s.begin(get)
	stream.event(": ok")
	s.Elsewhere().Change(id, func(k *keys.Key) { k.Scopes = []string{mcpscope.Resource("res://b")} })
	s.updated("res://a")
	s.updated("res://b")
	stream.eventOf("notifications/resources/updated", "res://b")
}

// TestRealClientIsCutOff: a client of the SDK is told why its call failed, and gets 401 for the
// next.
func TestRealClientIsCutOff(t *testing.T) {
	for _, version := range eras {
		t.Run(version, func(t *testing.T) {
			s := newSlowSite(t)
			token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
			session := s.mustConnect(version, token)
			failed := make(chan error, 1)
			go func() {
				_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "slow"})
				failed <- err
			}()
			<-s.slows["slow"].began
			s.Elsewhere().Revoke(id)
			select {
			case err := <-failed:
				if err == nil || !strings.Contains(err.Error(), "API key is no longer valid") {
					t.Errorf("the call: got %v, want to be told", err)
				}
			case <-time.After(patience):
				t.Fatal("the call does not end")
			}
			if _, err := session.ListTools(t.Context(), nil); err == nil {
				t.Error("ListTools after the revoke: got no error, want one")
			}
		})
	}
}

// TestHoldsLeaveNothingBehind: neither what ended by itself nor what was cut off leaves a
// goroutine, nor a session that its client closed.
func TestHoldsLeaveNothingBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("site", func(t *testing.T) {
		for _, kind := range kinds {
			s := newSlowSite(t)
			token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
			o := kind.open(s, token)
			s.Elsewhere().Revoke(id)
			o.end()

			token, _ = s.Issue(admin.IssueRequest{Scopes: slowScopes})
			session := s.mustConnect(kind.version, token)
			if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "quick"}); err != nil {
				t.Error(err)
			}
		}
	})
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// TestTwoHandlersOfOneServer: a call is held by the guard that admitted it, whichever handler's
// middleware it passes.
func TestTwoHandlersOfOneServer(t *testing.T) {
	s := newSlowSite(t)
	s.serve(nil)
	for _, version := range eras {
		status, body := s.send(version, s.Granted("tools:*"), callOf(version, "quick"))
		if status != http.StatusOK || !strings.Contains(body, "ran quick") {
			t.Errorf("era %s: got %d %s", version, status, body)
		}
	}
}

// Attack: the holder of a key that will be revoked has another client with a valid key send a
// request with the session's id, so that the session is taken for the other's and stays open;
// or a client with a weak key does, so that the owner is told less. The SDK answers 403, and
// the session stays its opener's.
func TestAnotherKeyDoesNotSpeakForASession(t *testing.T) {
	s := newSlowSite(t)
	token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
	session := s.open(token)
	s.subscribe(token, session, "res://a")
	stream := s.begin(request{token: token, session: session, version: legacy})
	stream.event(": ok")

	intrude := func(token string) {
		t.Helper()
		r := callOf(legacy, "quick")
		r.token, r.session = token, session
		if status, body := s.post(r); status != http.StatusForbidden {
			t.Errorf("another key in the session: got %d %s, want 403", status, body)
		}
	}
	intrude(s.Granted("tools:quick"))
	s.updated("res://a")
	stream.event("res://a")

	intrude(s.Granted(slowScopes...))
	closed := s.closing(session)
	s.Elsewhere().Revoke(id)
	wantClosed(t, closed)
}

// closing is closed when the session is.
func (s *site) closing(id string) <-chan struct{} {
	s.t.Helper()
	closed := make(chan struct{})
	for session := range s.server.Sessions() {
		if session.ID() == id {
			go func() {
				_ = session.Wait()
				close(closed)
			}()
			return closed
		}
	}
	s.t.Fatal("there is no such session")
	return nil
}

func wantClosed(t *testing.T, closed <-chan struct{}) {
	t.Helper()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("the session stays open")
	}
}

// Attack: a key cannot be checked for a moment, which ends what it held open but not its
// session; then it is revoked, and since its client sends nothing more, its session stays open
// and collects what the server sends.
func TestSessionThatWasLeftOpenClosesWithItsKey(t *testing.T) {
	for name, c := range map[string]struct {
		before, after func(s *site, id string)
		code          keys.Code
	}{
		"unavailable": {
			before: func(s *site, id string) {
				s.Pull(true)
				s.Elsewhere().Change(id, func(k *keys.Key) { k.Name = "other" }) // so that it is looked up
			},
			after: func(s *site, _ string) { s.Pull(false) },
			code:  keys.CodeUnavailable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSlowSite(t)
			token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
			session := s.open(token)
			closed := s.closing(session)
			c.before(s, id)
			s.wantLogged(fmt.Sprintf(`"code":%q,"key_id":%q`, c.code, id))
			if c.after != nil {
				c.after(s, id)
			}
			select {
			case <-closed:
				t.Fatal("the session closed with its key still good")
			case <-time.After(50 * time.Millisecond):
			}
			s.Elsewhere().Revoke(id)
			wantClosed(t, closed)
		})
	}
}
