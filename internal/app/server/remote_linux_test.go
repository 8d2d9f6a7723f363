package server_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/server"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/remote"
)

// A17. A guard on another host remembers keys, and when a revoke of another process returns, it
// refuses the key. All is well, so the revoke does not wait for the end of a lease.
func TestA17RemoteGuardRefusesAfterRevoke(t *testing.T) {
	f := servertest.New(t)
	path := filepath.Join(t.TempDir(), "s")
	if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	_, stop := start(t, server.Options{DB: f.Path, Listen: "unix:" + path}, 1)
	key, _ := f.Issue(admin.IssueRequest{Kind: keys.KindAdmin, Scopes: []string{keys.ScopeVerify}, Audience: []string{"weather"}})
	v, err := verifier.New(remote.New("unix:"+path, &remote.Options{
		Key: keys.NewSecret(key), Audience: "weather", Logger: slog.New(slog.DiscardHandler),
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := admin.NewLocal(f.Store, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2500 * time.Millisecond) // until the server knows all leases
	for range 10 {
		token, id := f.Issue(admin.IssueRequest{Audience: []string{"weather"}})
		call := verifier.Call{Audience: "weather"}
		for range 3 {
			if d := v.Authenticate(t.Context(), token, call); !d.Valid() {
				t.Fatalf("got %s: %v, want valid", d.Code, d.Cause)
			}
		}
		w := &store.Wait{}
		if _, err := m.Revoke(store.WithWait(context.Background(), w), id, ""); err != nil {
			t.Fatal(err)
		}
		if d := v.Authenticate(t.Context(), token, call); d.Code != keys.CodeRevoked {
			t.Fatalf("after the revoke returned: got %s: %v, want revoked", d.Code, d.Cause)
		}
		if w.Waited > time.Second || w.Unheard > 0 {
			t.Errorf("the revoke waited %v, %d servers were not heard, want some milliseconds", w.Waited, w.Unheard)
		}
		t.Logf("waited %v", w.Waited)
	}
	time.Sleep(1100 * time.Millisecond) // the list is stored once a second
	list, err := connect.Settings{DB: f.Path}.Verifiers(t.Context())
	if err != nil || len(list) != 1 || list[0].Audience != "weather" || list[0].Behind || !list[0].Streaming || list[0].Agent != "mcpkeys-verifier" {
		t.Errorf("Verifiers: got %+v, %v, want the guard", list, err)
	}
	if err := v.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}
