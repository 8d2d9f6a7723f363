package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// A request is counted once, and each check of scopes with its outcome. The client address,
// behind the proxy, and the client program are recorded with it.
func TestUsageIsCounted(t *testing.T) {
	k := guardtest.NewKeyring(t)
	guard := k.Guard(&middleware.Options{TrustedProxies: ranges("10.0.0.1")})
	token := k.Granted("reports:read", "reports:list")
	nested := guard.Require()(guard.Require("reports:read")(ok))
	for name, c := range map[string]struct {
		h    http.Handler
		want int
	}{
		"no scope":    {guard.Require()(ok), 200},
		"both":        {guard.Require("reports:read", "reports:list")(ok), 200},
		"nested":      {nested, 200},
		"not granted": {guard.Require("reports:write")(ok), 403},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = "10.0.0.1:1"
		r.Header = http.Header{"X-Api-Key": {token}, "X-Forwarded-For": {"198.51.100.7"}, "User-Agent": {"reporter/2 (linux)"}}
		if got := guardtest.StatusOf(c.h, r); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
	want := map[string]int64{"valid": 4, "valid reports:read": 2, "valid reports:list": 1, "insufficient_scope reports:write": 1}
	if diff := cmp.Diff(want, k.Counted()); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	if last := k.LastUse(); last.Agent != "reporter/2" || last.ClientIP.String() != "198.51.100.7" {
		t.Errorf("last use: got %s by %q, want 198.51.100.7 by reporter/2", last.ClientIP, last.Agent)
	}
}

// A key that was pasted into the User-Agent is not recorded.
func TestUsageShowsNoKey(t *testing.T) {
	k := guardtest.NewKeyring(t)
	token := k.Granted()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = http.Header{"X-Api-Key": {token}, "User-Agent": {token}}
	if got := guardtest.StatusOf(k.Guard(nil).Require()(ok), r); got != http.StatusOK {
		t.Fatalf("got %d, want 200", got)
	}
	k.Counted()
	if last := k.LastUse(); last.Agent != "" || last.Secret == 0 || keys.LooksLikeToken(last.Agent) {
		t.Errorf("last use: got %+v, want no agent", last)
	}
}
