package middleware_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/importing"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// Keys as other systems stored them, imported, and presented in the header that their clients
// already use. The stored values are from those systems: Spring Security's bcrypt of
// "password", a row of better-auth 1.7.5, unkey's hash in base64.
func TestImportedKeysAtTheGuard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	if err := sqlite.Create(path, nil); err != nil {
		t.Fatal(err)
	}
	st, err := sqlite.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	m, err := admin.NewLocal(st, "local:test(1)", nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := verifier.New(local.New(st, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	guard := middleware.New(v, nil)
	srv := httptest.NewServer(guard.Require("tools:get_forecast")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := keys.IdentityFrom(r.Context())
		_, _ = io.WriteString(w, id.KeyID()+" "+id.Name()+r.Header.Get("X-API-Key")+r.Header.Get("Authorization"))
	})))
	t.Cleanup(srv.Close)

	sources := []struct{ name, id, hash, header, value, wrong string }{
		{
			"spring", "api01", "{bcrypt}$2a$10$dXJ3SW6G7P50lGmMkkmwe.20cQQubK3.HZWzG3YB1tlRy.fqvM/BG",
			"X-API-Key", "api01.password", "api01.passwort",
		},
		{
			"better-auth", "htN85rYX0IdujFULvkJU1tC4z9dVJIld", "sha256:qVEU64HdeeIKaFH1qdrsgbVjhyzipJ0sPEGNEB979IE",
			"X-API-Key", "acme_YFJvfReBqgUelsCsyTyJGXcwrQmUvxUQVQtbkHoIZmKjJxrZcBNRwpgkmiInFySF", "acme_YFJvfReBqgUelsCsyTyJGXcwrQmUvxUQVQtbkHoIZmKjJxrZcBNRwpgkmiInFySf",
		},
		{
			"unkey", "key_1", "sha256:mlZ5Z3pgJFZhD2CDZkesVZcJ0ENunO6IiPA/Oi1wyOE=",
			"Authorization", "Bearer acme_3ZJ9vYkQ0hW2mRbT7xLsN4", "Bearer acme_3ZJ9vYkQ0hW2mRbT7xLsN5",
		},
	}
	for _, s := range sources {
		hash, err := pepper.ParseHash(s.hash)
		if err != nil {
			t.Fatal(err)
		}
		row := importing.Row{ID: s.id, Hash: hash, IssueRequest: admin.IssueRequest{Name: s.name, Scopes: []string{"tools:get_*"}}}
		report, err := importing.Import(t.Context(), m, func(yield func(importing.Row, error) bool) { yield(row, nil) }, importing.Options{})
		if err != nil {
			t.Fatalf("Import of %s: %v %v", s.name, err, report.Reasons)
		}
	}
	call := func(header, value string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(header, value)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	for _, s := range sources {
		status, first := call(s.header, s.value)
		if status != http.StatusOK || len(first) != keys.IDLen+1+len(s.name) || first[keys.IDLen+1:] != s.name {
			t.Errorf("%s: got %d %q, want its identity and no credential", s.name, status, first)
		}
		if status, second := call(s.header, s.value); status != http.StatusOK || second != first {
			t.Errorf("%s again: got %d %q, want %q", s.name, status, second, first)
		}
		if status, _ := call(s.header, s.wrong); status != http.StatusUnauthorized {
			t.Errorf("%s with a wrong secret: got %d, want 401", s.name, status)
		}
		if _, err := m.Revoke(t.Context(), first[:keys.IDLen], ""); err != nil {
			t.Fatal(err)
		}
		if status, _ := call(s.header, s.value); status != http.StatusUnauthorized {
			t.Errorf("%s revoked: got %d, want 401", s.name, status)
		}
	}
}
