package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// A logger around a guard and the guard must use the same request id, and never one that is a
// key.
func TestIdentifyGivesOneID(t *testing.T) {
	guard := guardtest.NewKeyring(t).Guard(nil)
	for given, kept := range map[string]bool{
		"ticket-4711": true, "": false, "two\nlines": false, keys.NewToken(keys.KindKey).Secret().Reveal(): false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("X-Request-Id", given)
		r = middleware.Identify(r)
		id := requestid.From(r.Context())
		if (id == given) != kept || keys.LooksLikeToken(id) || id == "" {
			t.Errorf("Identify(%q): got %q, want it kept: %v", given, id, kept)
		}
		w := httptest.NewRecorder()
		if _, ok := guard.Admit(w, r); ok || w.Header().Get("X-Request-Id") != id {
			t.Errorf("Admit after Identify(%q): got the id %q, want %q", given, w.Header().Get("X-Request-Id"), id)
		}
	}
}

// A guard for answers about the key itself accepts every active key, and no revoked one.
func TestAnyTakesEveryLiveKey(t *testing.T) {
	k := guardtest.NewKeyring(t)
	guard := k.Guard(&middleware.Options{Any: true})
	admit := func(token string) bool {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		_, ok := guard.Admit(httptest.NewRecorder(), r)
		return ok
	}
	elsewhere, id := k.Issue(admin.IssueRequest{Audience: []string{"another-server"}})
	admin, _ := k.Issue(admin.IssueRequest{Kind: keys.KindAdmin})
	if !admit(elsewhere) || !admit(admin) || !admit(k.Granted()) {
		t.Error("a live key was refused")
	}
	k.Revoke(id)
	if admit(elsewhere) || admit(k.Expired()) || admit("") {
		t.Error("a revoked key was admitted")
	}
}
