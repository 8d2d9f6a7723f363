package middleware

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

func TestRateLimitFields(t *testing.T) {
	limit := keys.RateLimit{Count: 100, Window: time.Minute, Burst: 60}
	most := keys.RateLimit{Count: 100_000_000, Window: 24 * time.Hour, Burst: 100_000_000}
	for _, c := range []struct {
		d             keys.Decision
		policy, limit string
	}{
		{keys.Decision{Code: keys.CodeValid, Limit: limit, Remaining: 50, Reset: 30 * time.Second}, `"default";q=100;w=60`, `"default";r=50;t=30`},
		{keys.Decision{Code: keys.CodeValid, Limit: limit, Remaining: 59, Reset: time.Millisecond}, `"default";q=100;w=60`, `"default";r=59;t=1`},
		{keys.Decision{Code: keys.CodeValid, Limit: limit, Remaining: 60}, `"default";q=100;w=60`, `"default";r=60;t=0`},
		{keys.Decision{Code: keys.CodeRateLimited, Limit: limit, Remaining: 2, Reset: 50 * time.Second, RetryAfter: 9500 * time.Millisecond}, `"default";q=100;w=60`, `"default";r=2;t=10`},
		{keys.Decision{Code: keys.CodeRateLimited, Limit: limit}, `"default";q=100;w=60`, `"default";r=0;t=1`},
		{keys.Decision{Code: keys.CodeValid, Limit: most, Remaining: 99_999_999, Reset: 24 * time.Hour}, `"default";q=100000000;w=86400`, `"default";r=99999999;t=86400`},
	} {
		h := http.Header{}
		writeLimit(h, policyCalls, &c.d)
		if got := h.Values("RateLimit-Policy"); len(got) != 1 || got[0] != c.policy {
			t.Errorf("RateLimit-Policy of %+v: got %q, want %q", c.d, got, c.policy)
		}
		if got := h.Values("RateLimit"); len(got) != 1 || got[0] != c.limit {
			t.Errorf("RateLimit of %+v: got %q, want %q", c.d, got, c.limit)
		}
		h.Add("RateLimit", "x") // adding a value must not overwrite the other
		if got := h.Get("RateLimit-Policy"); got != c.policy {
			t.Errorf("RateLimit-Policy after an Add: got %q, want %q", got, c.policy)
		}
	}
}

// The limit on unknown keys from one address belongs to no key: no policy, another text, and
// Retry-After.
func TestLimitOfAnAddress(t *testing.T) {
	w := httptest.NewRecorder()
	d := keys.Decision{Code: keys.CodeRateLimited, RetryAfter: 20 * time.Second}
	(&Guard{realm: "r"}).refuse(w, httptest.NewRequest(http.MethodGet, "/", nil), d, verifier.Call{})
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "20" || w.Header().Get("RateLimit-Policy") != "" || w.Header().Get("RateLimit") != "" {
		t.Errorf("refuse: got %d %v, want 429 and Retry-After alone", w.Code, w.Header())
	}
	if sourceLimited.detail == answers[keys.CodeRateLimited].detail {
		t.Error("the two limits are told in the same words")
	}
}

func TestSecondsRoundUp(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		0: "1", time.Millisecond: "1", time.Second: "1", time.Second + 1: "2", 90 * time.Second: "90", -time.Hour: "1",
	} {
		if got := retryAfter(wait); got != want {
			t.Errorf("retryAfter(%v): got %s, want %s", wait, got, want)
		}
	}
}
