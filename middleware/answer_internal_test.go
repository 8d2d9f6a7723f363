package middleware

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// A code that nobody thought of is no pass and no detail: 503.
func TestUnknownCodeIsUnavailable(t *testing.T) {
	for _, code := range []keys.Code{"", "invented", keys.CodeValid} {
		w := httptest.NewRecorder()
		(&Guard{realm: "r"}).refuse(w, httptest.NewRequest(http.MethodGet, "/", nil), keys.Decision{Code: code}, verifier.Call{})
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
			t.Errorf("refuse(%q): got %d, Retry-After %q, want 503 and 1", code, w.Code, w.Header().Get("Retry-After"))
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
