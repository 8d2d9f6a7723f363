package mcpauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
)

// A call in a session runs on when its client leaves, and then still ends with its key, and with
// its scope: the hold that it shares with its request outlasts the request.
func TestCallWhoseClientLeavesEndsWithItsKey(t *testing.T) {
	for code, alter := range map[keys.Code]func(*keys.Key){
		keys.CodeRevoked:           func(k *keys.Key) { k.RevokedAt = now() },
		keys.CodeInsufficientScope: func(k *keys.Key) { k.Scopes = []string{"tools:quick"} },
	} {
		s := newSlowSite(t)
		token, id := s.Issue(admin.IssueRequest{Scopes: slowScopes})
		answered := make(chan struct{}, 10)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.handler.ServeHTTP(w, r)
			answered <- struct{}{}
		}))
		defer srv.Close()
		s.url = srv.URL
		r := callOf(legacy, "slow")
		r.token, r.session, r.version = token, s.open(token), legacy
		for range 2 { // those of open
			<-answered
		}
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		go func() {
			resp, err := http.DefaultTransport.RoundTrip(s.request(http.MethodPost, r).WithContext(ctx))
			if err == nil {
				_ = resp.Body.Close()
			}
		}()
		<-s.slows["slow"].began
		leave()
		select {
		case <-answered:
		case <-time.After(patience):
			t.Fatal("the request of the client that left does not end")
		}
		select {
		case err := <-s.slows["slow"].causes:
			t.Fatalf("the call ended with its request: %v", err)
		default:
		}
		s.Elsewhere().Change(id, alter)
		s.slows["slow"].wantCause(t, code)
	}
}
