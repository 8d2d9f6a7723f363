package server_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/server"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
	"github.com/mcpkeys/mcpkeys/verifyapi"
)

// Both APIs, mounted side by side in another program: each requires an admin key with the right
// scope.
func TestHandlersAreGuarded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	if err := sqlite.Create(path, nil); err != nil {
		t.Fatal(err)
	}
	st, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	v, err := verifier.New(local.New(st, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	m, err := admin.NewLocal(st, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(req admin.IssueRequest) string {
		issued, err := m.Issue(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return issued.Token.Reveal()
	}
	reads := issue(admin.IssueRequest{Kind: keys.KindAdmin, Name: "reads", Scopes: []string{keys.ScopeKeysRead}})
	verifies := issue(admin.IssueRequest{Kind: keys.KindAdmin, Name: "verifies", Scopes: []string{keys.ScopeVerify}})
	ordinary := issue(admin.IssueRequest{Name: "ordinary"})
	mux := http.NewServeMux()
	mux.Handle("/v1/", server.Handler(st, v, nil))
	mux.Handle("/v1/verify", verifyapi.Handler(v, nil))
	for _, c := range []struct {
		method, path, key string
		want              int
		holds             string
	}{
		{"GET", "/v1/keys", reads, 200, `"ordinary"`},
		{"GET", "/v1/keys", verifies, 403, "insufficient_scope"},
		{"GET", "/v1/keys", ordinary, 401, "invalid_token"},
		{"GET", "/v1/keys", "", 401, ""},
		{"POST", "/v1/verify", verifies, 200, `"valid":true`},
		{"POST", "/v1/verify", reads, 403, "insufficient_scope"},
		{"POST", "/v1/verify", "", 401, ""},
	} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(`{"key":"`+ordinary+`"}`))
		r.Header.Set("Content-Type", "application/json")
		if c.key != "" {
			r.Header.Set("Authorization", "Bearer "+c.key)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code != c.want || !strings.Contains(w.Body.String(), c.holds) {
			t.Errorf("%s %s: got %d %s, want %d with %s", c.method, c.path, w.Code, w.Body, c.want, c.holds)
		}
	}
}
