package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
)

// waiting is the context of a change that tells when it is in effect.
func waiting(ctx context.Context) (context.Context, *store.Wait) {
	w := &store.Wait{}
	return store.WithWait(ctx, w), w
}

// wantWaited wants a change to be in effect everywhere, because no server holds a lease.
func wantWaited(t *testing.T, what string, err error, w *store.Wait) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if w.Everywhere.IsZero() || w.Unheard != 0 {
		t.Errorf("%s: got %+v, want the time from which on it is in effect", what, w)
	}
}

func takingAwayTellsSince(t *testing.T, f *fixture) {
	m := f.manager(f.store)
	id := f.create("a", nil).ID
	scopes, name := []string{"tools:a"}, "b"
	for what, widen := range map[string]func(context.Context) error{
		"Edit of the scopes": func(ctx context.Context) error {
			_, err := m.Edit(ctx, id, admin.EditRequest{Scopes: &scopes})
			return err
		},
		"Edit of the name": func(ctx context.Context) error { _, err := m.Edit(ctx, id, admin.EditRequest{Name: &name}); return err },
		"Issue":            func(ctx context.Context) error { _, err := m.Issue(ctx, admin.IssueRequest{Name: "c"}); return err },
	} {
		ctx, w := waiting(t.Context())
		if err := widen(ctx); err != nil || !w.Everywhere.IsZero() || w.Waited != 0 {
			t.Errorf("%s: got %v, %+v, want that nothing was taken away", what, err, w)
		}
	}
	ctx, w := waiting(t.Context())
	_, err := m.Edit(ctx, id, admin.EditRequest{Scopes: &[]string{}})
	wantWaited(t, "Edit that takes a scope away", err, w)

	for range 2 { // the second one finds nothing to do
		ctx, w := waiting(t.Context())
		_, err = m.Revoke(ctx, id, "")
		wantWaited(t, "Revoke", err, w)
	}
	ctx, w = waiting(t.Context())
	w.No = true
	_, err = f.manager(f.another()).Revoke(ctx, id, "")
	wantWaited(t, "Revoke that does not wait", err, w)
}

func replayTellsSince(t *testing.T, f *fixture) {
	m := f.manager(f.store)
	id := f.create("a", nil).ID
	for range 2 {
		ctx, w := waiting(f.once("a", "x"))
		if _, err := m.Revoke(ctx, id, ""); w.Everywhere.IsZero() {
			t.Errorf("Revoke: got %v, %+v, want the time from which on it is in effect", err, w)
		}
	}
}

func widenedSecretTellsNothing(t *testing.T, f *fixture) {
	k := f.create("a", func(k *keys.Key) { k.ExpiresAt = f.now.Add(time.Hour) })
	ctx, w := waiting(t.Context())
	_, err := f.store.Update(ctx, k.ID, f.change(k.ID, func(k *keys.Key) {
		k.ExpiresAt = k.ExpiresAt.Add(time.Hour)
		k.Secrets = append(k.Secrets, f.newSecret(2, keys.NewToken(keys.KindKey)))
	}))
	if err != nil || !w.Everywhere.IsZero() {
		t.Errorf("Update: got %v, %+v, want that nothing was taken away", err, w)
	}
}
