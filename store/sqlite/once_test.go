package sqlite_test

import (
	"context"
	"errors"
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
