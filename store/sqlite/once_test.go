package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// word is the context of a change that must not be made twice.
func word(ctx context.Context, text string) context.Context {
	return store.WithOnce(ctx, &store.Once{
		Caller: "key:caller", Route: "revoke", Word: text, At: time.Now(),
		Answer: func(*keys.Key) (string, error) { return `{"first":true}`, nil },
	})
}

// TestB2RestoreKeepsWords: a request that was carried out after the backup was made is
// not carried out again after the restore, although the restore took back what it did.
func TestB2RestoreKeepsWords(t *testing.T) {
	h := newHistory(t, "ci", "turned")
	m := manager(t, h.store)
	if _, err := m.Disable(word(t.Context(), "a"), h.id("ci"), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Rotate(word(t.Context(), "b"), h.id("turned"), admin.RotateRequest{}); err != nil {
		t.Fatal(err)
	}
	h.restore(t, sqlite.RestoreOptions{})
	m = manager(t, h.store)
	var before *store.ReplayedError
	if _, err := m.Disable(word(t.Context(), "a"), h.id("ci"), ""); !errors.As(err, &before) || before.Answer != `{"first":true}` {
		t.Errorf("Disable again after the restore: got %v, want the first answer", err)
	}
	before = nil
	if _, err := m.Rotate(word(t.Context(), "b"), h.id("turned"), admin.RotateRequest{}); !errors.As(err, &before) || before.Secret != 2 {
		t.Errorf("Rotate again after the restore: got %v, want a ReplayedError of secret 2", err)
	}
}

// TestB5RetiredPepperForgetsSuperseded: what was made with a pepper that was retired can
// prove nothing any more, and nothing of it is kept. A repeated request of before is
// refused, because it cannot be compared.
func TestB5RetiredPepperForgetsSuperseded(t *testing.T) {
	s := open(t, create(t))
	m := manager(t, s)
	k := issue(t, s, admin.IssueRequest{Name: "ci"})
	old := s.Peppers().Current()
	if _, err := m.Disable(word(t.Context(), "a"), k.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Enable(t.Context(), k.Key.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := m.AddPepper(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Rotate(t.Context(), k.Key.ID, admin.RotateRequest{Replace: 1}); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Superseded(t.Context(), k.Key.ID); err != nil || len(list) != 1 || list[0].PepperID != old {
		t.Fatalf("Superseded: got %+v, %v, want the one under the old pepper", list, err)
	}
	if _, err := m.RetirePepper(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Superseded(t.Context(), k.Key.ID); err != nil || len(list) != 0 {
		t.Errorf("Superseded after the pepper was retired: got %+v, %v, want none", list, err)
	}
	var invalid *keys.InvalidError
	if _, err := m.Disable(word(t.Context(), "a"), k.Key.ID, ""); !errors.As(err, &invalid) || invalid.Field != "Idempotency-Key" {
		t.Errorf("Disable again after the pepper was retired: got %v, want an InvalidError of the word", err)
	}
}

// TestReplayAfterARestoreTakesAway, the attack: a client ends an old secret and revokes a key,
// a backup of before gives both back, and the client repeats its requests, because it did not
// hear the answers. It must not hear that they were carried out while the secrets are good.
func TestReplayAfterARestoreTakesAway(t *testing.T) {
	path := create(t)
	s := open(t, path)
	m := manager(t, s)
	turned := issue(t, s, admin.IssueRequest{Name: "turned"})
	dead := issue(t, s, admin.IssueRequest{Name: "dead"})
	early := issue(t, s, admin.IssueRequest{Name: "early"})
	if _, err := m.Rotate(t.Context(), turned.Key.ID, admin.RotateRequest{}); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "backup.db")
	if _, err := s.Backup(t.Context(), backup, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Rotate(t.Context(), early.Key.ID, admin.RotateRequest{}); err != nil {
		t.Fatal(err)
	}
	var late admin.Issued
	ask := map[string]func(ctx context.Context) error{
		"finish": func(ctx context.Context) error {
			_, err := m.Rotate(ctx, turned.Key.ID, admin.RotateRequest{Finish: 1})
			return err
		},
		"finish of a rotation that is gone": func(ctx context.Context) error {
			_, err := m.Rotate(ctx, early.Key.ID, admin.RotateRequest{Finish: 1})
			return err
		},
		"revoke": func(ctx context.Context) error {
			_, err := m.Revoke(ctx, dead.Key.ID, "leaked")
			return err
		},
		"issue": func(ctx context.Context) (err error) {
			late, err = m.Issue(ctx, admin.IssueRequest{Name: "late"})
			return err
		},
	}
	for name, do := range ask {
		if err := do(word(t.Context(), name)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := sqlite.PrepareRestore(t.Context(), path, backup, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := r.Run(t.Context(), sqlite.RestoreOptions{Actor: "test", UndoRevocations: true}); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	m = manager(t, s)
	if _, err := m.Key(t.Context(), late.Key.ID); !errors.Is(err, keys.ErrNotFound) {
		t.Fatalf("the key that was issued after the backup: %v", err)
	}
	for _, name := range []string{"finish", "revoke"} {
		if err := ask[name](word(t.Context(), name)); err != nil {
			t.Errorf("%s again: got %v, want it carried out again", name, err)
		}
	}
	for what, old := range map[string]admin.Issued{"finished": turned, "revoked": dead} {
		k, err := m.Key(t.Context(), old.Key.ID)
		if err != nil {
			t.Fatal(err)
		}
		if secret := s.Peppers().Verify(k, old.Token); secret != nil && k.RevokedAt.IsZero() {
			t.Errorf("the %s secret is good", what)
		}
	}
	var rotation *admin.RotationError
	if err := ask["finish of a rotation that is gone"](word(t.Context(), "finish of a rotation that is gone")); !errors.As(err, &rotation) {
		t.Errorf("finish of the only secret: got %v, want a RotationError", err)
	}
	var before *store.ReplayedError
	if err := ask["issue"](word(t.Context(), "issue")); !errors.As(err, &before) || !before.Gone || strings.Contains(err.Error(), "rotate") {
		t.Errorf("issue again: got %v, want that the key is gone, and no advice about it", err)
	}
}
