package middleware

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// A code without an answer is 503, without a detail.
func TestUnknownCodeIsUnavailable(t *testing.T) {
	for _, code := range []keys.Code{"", "invented", keys.CodeValid} {
		w := httptest.NewRecorder()
		(&Guard{realm: "r"}).refuse(w, httptest.NewRequest(http.MethodGet, "/", nil), keys.Decision{Code: code}, verifier.Call{})
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
			t.Errorf("refuse(%q): got %d, Retry-After %q, want 503 and 1", code, w.Code, w.Header().Get("Retry-After"))
		}
	}
}

// An adapter's scopes may contain anything. A quote in them must not end the quoted text:
// otherwise the rest is read as parameters of the challenge.
func TestChallengeStaysWithinItsQuotes(t *testing.T) {
	w := httptest.NewRecorder()
	scopes := []string{`tools:a", resource_metadata="https://evil.example`, "tools:\\", "tools:é\r\n"}
	d := keys.Decision{Code: keys.CodeInsufficientScope, Lacks: &keys.Lack{Required: scopes}}
	(&Guard{realm: "r"}).refuse(w, httptest.NewRequest(http.MethodGet, "/", nil), d, verifier.Call{})
	got := w.Header().Get("WWW-Authenticate")
	names := regexp.MustCompile(`[ ,]([a-z_]+)="[^"\\]*"`).FindAllStringSubmatch(got, -1)
	var found []string
	for _, n := range names {
		found = append(found, n[1])
	}
	if want := []string{"realm", "error", "scope", "error_description"}; !slices.Equal(found, want) || strings.Count(got, `"`) != 8 {
		t.Errorf("challenge: got %s, want the parameters %v and no others", got, want)
	}
	if strings.IndexFunc(got, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
		t.Errorf("challenge: got %q, want printable ASCII", got)
	}
}

// A model that calls tools sees the sentence but no headers.
func TestSentenceNamesTheSeconds(t *testing.T) {
	minute := keys.RateLimit{Count: 1, Window: time.Minute}
	for _, c := range []struct {
		d    keys.Decision
		want string
	}{
		{keys.Decision{Code: keys.CodeRateLimited, Limit: minute, RetryAfter: 12 * time.Second}, "with this API key. Try again in 12 seconds."},
		{keys.Decision{Code: keys.CodeRateLimited, Limit: minute, RetryAfter: 1100 * time.Millisecond}, "Try again in 2 seconds."},
		{keys.Decision{Code: keys.CodeRateLimited, Limit: minute}, "Try again in 1 second."},
		{keys.Decision{Code: keys.CodeRateLimited, RetryAfter: 30 * time.Second}, "from this address. Try again in 30 seconds."},
		{keys.Decision{Code: keys.CodeUnavailable, RetryAfter: 5 * time.Second}, "cannot be checked right now. Try again in 5 seconds."},
	} {
		w := httptest.NewRecorder()
		(&Guard{realm: "r"}).refuse(w, httptest.NewRequest(http.MethodGet, "/", nil), c.d, verifier.Call{})
		if !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%v after %v: got %s, want %q", c.d.Code, c.d.RetryAfter, w.Body, c.want)
		}
		if seconds := w.Header().Get("Retry-After"); !strings.Contains(c.want, " "+seconds+" second") {
			t.Errorf("%v after %v: got Retry-After %s, want that of %q", c.d.Code, c.d.RetryAfter, seconds, c.want)
		}
	}
}

func TestHoldsToken(t *testing.T) {
	token := keys.NewToken(keys.KindAdmin).Secret().Reveal()
	for value, want := range map[string]bool{
		token: true, "Bearer " + token: true, "a_b; k=" + token: true, "MCPK_" + token[5:]: true,
		"": false, "_": false, "mcp_": false, "mcpk_": false, "gzip, deflate, br": false, "a_mcpk_short": false,
	} {
		if got := holdsToken(value); got != want {
			t.Errorf("holdsToken(%.20q): got %v, want %v", value, got, want)
		}
	}
}
