package mcpkeystest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/examples/mcpserver/weather"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/mcpkeystest"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/mcpauth"
)

func TestScopesOfAnMCPServer(t *testing.T) {
	k := mcpkeystest.New()
	defer k.Close()
	srv := httptest.NewServer(mcpauth.Handler(k.Guard(nil), weather.New(), nil))
	defer srv.Close()
	for scope, want := range map[string]int{"tools:get_*": 3, "tools:set_reading": 1, "tools:*": 5, "prompts:*": 0} {
		session := connect(srv.URL, k.Issue(scope))
		list, err := session.ListTools(t.Context(), nil)
		_ = session.Close()
		if err != nil || len(list.Tools) != want {
			t.Errorf("%s: got %v, %v, want %d tools", scope, list, err, want)
		}
	}
}

// This guard refuses what a guard over a store refuses.
func TestGuard(t *testing.T) {
	k := mcpkeystest.New()
	defer k.Close()
	h := k.Guard(&middleware.Options{Audience: "weather"}).Require("hello:read")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	get := func(secret string) int {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("X-API-Key", secret)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	good := k.Issue("hello:read")
	for name, c := range map[string]struct {
		secret string
		want   int
	}{
		"good":           {good, 200},
		"another scope":  {k.Issue("hello:write"), 403},
		"another server": {k.Add(keys.Key{Scopes: []string{"hello:read"}, Audience: []string{"news"}}), 401},
		"this server":    {k.Add(keys.Key{Scopes: []string{"hello:read"}, Audience: []string{"weather"}}), 200},
		"expired":        {k.Add(keys.Key{Scopes: []string{"hello:read"}, ExpiresAt: time.Unix(1, 0)}), 401},
		"admin":          {k.Add(keys.Key{Kind: keys.KindAdmin, Scopes: []string{keys.ScopeKeysRead}}), 401},
		"unknown":        {keys.NewToken(keys.KindKey).Secret().Reveal(), 401},
		"no key":         {"", 401},
	} {
		for range 2 { // the second is remembered
			if got := get(c.secret); got != c.want {
				t.Errorf("%s: got %d, want %d", name, got, c.want)
			}
		}
	}
	k.Revoke(good)
	if got := get(good); got != 401 {
		t.Errorf("revoked: got %d, want 401", got)
	}
	if got := get(k.Issue("hello:read")); got != 200 {
		t.Errorf("issued afterwards: got %d, want 200", got)
	}
}
