package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// fixed decides about the tokens that it was given, without a key store.
type fixed map[string]*keys.Identity

func (f fixed) Authenticate(_ context.Context, token string, _ verifier.Call) keys.Decision {
	if i := f[token]; i != nil {
		return keys.Decision{Code: keys.CodeValid, Identity: i, KeyID: i.KeyID()}
	}
	return keys.Decision{Code: keys.CodeNotFound}
}

func (f fixed) Authorize(d keys.Decision, _ verifier.Call, scopes ...string) keys.Decision {
	return d.Authorize(scopes...)
}

func (f fixed) Charge(d keys.Decision, _ verifier.Call) keys.Decision { return d }

func (f fixed) NoteDenial(keys.Decision, verifier.Call) {}

func (f fixed) Recheck(d keys.Decision, _ verifier.Call) (*keys.Identity, keys.Code) {
	return d.Identity, d.Code
}

func (f fixed) Hold(keys.Decision, verifier.Call, func(*keys.Identity) bool, func(keys.Code)) (release func()) {
	return func() {}
}

func (f fixed) OnChange(string, func()) (cancel func()) { return func() {} }

// A guard works with any authenticator, and answers as always.
func TestGuardBeforeAnotherAuthenticator(t *testing.T) {
	i, err := keys.NewIdentity(&keys.Key{ID: "k1", Kind: keys.KindKey, Scopes: []string{"reports:read"}})
	if err != nil {
		t.Fatal(err)
	}
	guard := middleware.New(fixed{"the-token": i}, nil)
	for _, c := range []struct {
		token, scope string
		status       int
	}{
		{"the-token", "reports:read", http.StatusOK},
		{"the-token", "reports:write", http.StatusForbidden},
		{"another-token", "reports:read", http.StatusUnauthorized},
		{"", "reports:read", http.StatusUnauthorized},
	} {
		h := guard.Require(c.scope)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if who, _ := keys.IdentityFrom(r.Context()); who != i || guard.Recheck(r.Context()) != nil {
				t.Errorf("%s: got identity %v", c.token, who)
			}
		}))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%q for %s: got %d, want %d", c.token, c.scope, w.Code, c.status)
		}
	}
}

// A7. The error of verifier.New was dropped, and its result is a typed nil.
func TestA7NoVerifier(t *testing.T) {
	var none *verifier.Verifier
	mustPanic(t, "typed nil", func() { middleware.New(none, nil) })
	mustPanic(t, "nil", func() { middleware.New(nil, nil) })
}
