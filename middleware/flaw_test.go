package middleware_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// A client that sends something similar to its key gets the same answer as any other; the log
// says what is wrong with it, without any part of it.
func TestFlawIsForTheLogAlone(t *testing.T) {
	k := guardtest.NewKeyring(t)
	token := k.Granted()
	var log strings.Builder
	h := k.Guard(&middleware.Options{Logger: guardtest.Logger(&log)}).Require()(ok)
	answer := func(header, value string) string {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("X-Request-Id", "flaw-1") // the body contains it
		r.Header.Set(header, value)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%s: got %d, want 401", header, w.Code)
		}
		return w.Body.String()
	}
	common := answer("X-API-Key", keys.NewToken(keys.KindKey).Secret().Reveal())
	for _, c := range []struct{ header, value, want string }{
		{"Authorization", `Bearer "` + token + `"`, "contains quotes"},
		{"Authorization", "Bearer Bearer " + token, "begins with Bearer"},
		{"X-API-Key", "Bearer " + token, "begins with Bearer"},
		{"X-API-Key", "\ufeff" + token, "byte order mark"},
		{"X-API-Key", "${MCP_KEY}", "variable"},
		{"X-API-Key", base64.StdEncoding.EncodeToString([]byte(token)), "base64"},
	} {
		log.Reset()
		if got := answer(c.header, c.value); got != common {
			t.Errorf("%s: got %s, want what every unknown key gets: %s", c.want, got, common)
		}
		if got := log.String(); !strings.Contains(got, c.want) || keys.LooksLikeToken(got) {
			t.Errorf("log: got %s, want %q in it and no key", got, c.want)
		}
	}
}
