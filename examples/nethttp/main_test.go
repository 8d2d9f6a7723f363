package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
)

func TestHandler(t *testing.T) {
	k := guardtest.NewKeyring(t)
	h := handler(k.Guard(nil))
	token, _ := k.Issue(admin.IssueRequest{Name: "ci", Scopes: []string{"hello:read"}})
	for _, c := range []struct {
		path, token string
		want        int
	}{{"/hello", token, 200}, {"/hello", k.Granted("hello:write"), 403}, {"/hello", "", 401}, {"/nowhere", "", 401}} {
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		r.Header.Set("X-API-Key", c.token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want || (w.Code == http.StatusOK && w.Body.String() != "Hello, ci.\n") {
			t.Errorf("%s: got %d %s, want %d", c.path, w.Code, w.Body, c.want)
		}
	}
}
