package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// call sends a request for path with the key and returns the answer.
func call(h http.Handler, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("X-API-Key", token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Attack A3: a limit that counts lookups, guards or attempts instead of requests is used up too
// soon, or never. A request counts once, however many guards it passes, with the cost of its
// route; a refused one does not count. Cost never sees the key.
func TestA3ARequestCountsOnce(t *testing.T) {
	k := guardtest.NewKeyring(t)
	token, _ := k.Issue(admin.IssueRequest{RateLimit: keys.RateLimit{Count: 10, Window: 24 * time.Hour, Burst: 10}})
	asked := 0
	guard := k.Guard(&middleware.Options{Cost: func(r *http.Request) int {
		asked++
		if len(r.Header) != 0 {
			t.Errorf("Cost sees the headers %v, want none", r.Header)
		}
		return map[string]int{"/export": 4, "/free": 0, "/bogus": -7, "/never": 11}[r.URL.Path]
	}})
	h := guard.Require()(guard.Require()(ok))
	for i, c := range []struct {
		path string
		want int
	}{{"/export", 200}, {"/export", 200}, {"/export", 429}, {"/never", 429}, {"/free", 200}, {"/bogus", 200}, {"/free", 429}} {
		if got := call(h, c.path, token).Code; got != c.want || asked != i+1 {
			t.Errorf("%d, %s: got %d after asking %d times, want %d after %d", i, c.path, got, asked, c.want, i+1)
		}
	}
}

// Retry-After does not depend on the fields of the draft.
func TestRateLimitFieldsCanBeLeftOut(t *testing.T) {
	k := guardtest.NewKeyring(t)
	limit := keys.RateLimit{Count: 1, Window: time.Hour, Burst: 1}
	for name, c := range map[string]struct {
		options middleware.Options
		policy  string
	}{
		"by default": {middleware.Options{}, `"default";q=1;w=3600`},
		"left out":   {middleware.Options{NoRateLimitFields: true}, ""},
	} {
		token, _ := k.Issue(admin.IssueRequest{RateLimit: limit})
		h := k.Guard(&c.options).Require()(ok)
		call(h, "/", token)
		got := call(h, "/", token)
		if got.Code != http.StatusTooManyRequests || got.Header().Get("Retry-After") != "3600" || got.Header().Get("RateLimit-Policy") != c.policy {
			t.Errorf("%s: got %d %v, want 429, Retry-After 3600 and the policy %q", name, got.Code, got.Header(), c.policy)
		}
	}
}
