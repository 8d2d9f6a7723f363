package storetest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
)

// A21: another service once revoked every root key with one condition that was written
// a little wrong. Here all other keys must be the same to the last byte.
func changeTouchesOneKey(t *testing.T, f *fixture) {
	var target *keys.Key
	for i := range 7 {
		k := f.create("key "+strconv.Itoa(i), full(f))
		if i == 3 {
			target = k
		}
	}
	edits := map[string]func(*keys.Key){
		"revoke":  func(k *keys.Key) { k.RevokedAt, k.RevokedReason = f.now, "gone" },
		"disable": func(k *keys.Key) { k.DisabledAt = f.now },
		"scopes":  func(k *keys.Key) { k.Scopes = []string{"tools:x"} },
		"rotate":  func(k *keys.Key) { k.Secrets = k.Secrets[1:] },
	}
	for name, edit := range edits {
		before, seq, audit := f.others(target.ID), f.changes(f.store, feed.Position{}).Next, len(f.events())
		f.mustUpdate(target.ID, edit)
		if d := diff(before, f.others(target.ID)); d != "" {
			t.Errorf("%s: another key changed (-before +after):\n%s", name, d)
		}
		if c := f.changes(f.store, seq); len(c.IDs) != 1 || c.IDs[0] != target.ID {
			t.Errorf("%s: Changes: got %v, want %s alone", name, c.IDs, target.ID)
		}
		if n := len(f.events()) - audit; n != 1 {
			t.Errorf("%s: got %d audit rows, want 1", name, n)
		}
	}
}

// others returns all keys but one.
func (f *fixture) others(id string) []*keys.Key {
	f.t.Helper()
	var out []*keys.Key
	for _, k := range f.all(keys.Query{}) {
		if k.ID != id {
			out = append(out, k)
		}
	}
	return out
}

func noChangeWritesNothing(t *testing.T, f *fixture) {
	k := f.create("same", nil)
	before := f.state()
	got, err := f.store.Update(t.Context(), k.ID, func(k *keys.Key) (audit.Event, error) {
		k.Name = "half-changed"
		return audit.Event{}, keys.ErrNoChange
	})
	if err != nil {
		t.Fatalf("Update: got %v, want success", err)
	}
	if d := diff(k, got); d != "" {
		t.Errorf("Update returned what is not stored (-want +got):\n%s", d)
	}
	f.wantSame("ErrNoChange", before)
}

func failedChangeWritesNothing(t *testing.T, f *fixture) {
	k := f.create("same", nil)
	before := f.state()
	refused := errors.New("refused")
	got, err := f.store.Update(t.Context(), k.ID, func(k *keys.Key) (audit.Event, error) {
		k.Name = "changed"
		k.Version++
		f.store.Peppers().Seal(k)
		return f.event(k.ID), refused
	})
	if got != nil || !errors.Is(err, refused) {
		t.Errorf("Update: got %v, %v, want nil and the change's own error", got, err)
	}
	f.wantSame("failed change", before)
}

func panicWritesNothing(t *testing.T, f *fixture) {
	k := f.create("same", nil)
	before := f.state()
	func() {
		defer func() { _ = recover() }()
		_, _ = f.store.Update(t.Context(), k.ID, func(*keys.Key) (audit.Event, error) { panic("in change") })
		t.Errorf("Update swallowed the panic")
	}()
	f.wantSame("panic", before)
	f.mustUpdate(k.ID, func(k *keys.Key) { k.RevokedReason = "the store still works" })
}

func identityStays(t *testing.T, f *fixture) {
	k := f.create("same", nil)
	before := f.state()
	for name, edit := range map[string]func(*keys.Key){
		"id":         func(k *keys.Key) { k.ID = "000000000000" },
		"kind":       func(k *keys.Key) { k.Kind = keys.KindAdmin },
		"created_at": func(k *keys.Key) { k.CreatedAt = k.CreatedAt.Add(1000) },
		"created_by": func(k *keys.Key) { k.CreatedBy = "another actor" },
	} {
		if _, err := f.update(f.store, k.ID, edit); err == nil {
			t.Errorf("Update of %s: got no error", name)
		}
	}
	f.wantSame("altered identity", before)
}

// Revoked is final, also for a later change that ignores it.
func revocationStays(t *testing.T, f *fixture) {
	k := f.create("ended", nil)
	f.mustUpdate(k.ID, func(k *keys.Key) { k.RevokedAt = f.now })
	before := f.state()
	if _, err := f.update(f.store, k.ID, func(k *keys.Key) { k.RevokedAt = time.Time{} }); err == nil {
		t.Error("Update that takes a revocation back: got no error")
	}
	f.wantSame("a revocation taken back", before)
}

func updatesNeverOverlap(t *testing.T, f *fixture) {
	k := f.create("counter", nil)
	const rounds = 10
	var wg sync.WaitGroup
	for _, s := range []store.Store{f.store, f.store, f.another(), f.another()} {
		wg.Go(func() {
			for range rounds {
				_, err := f.update(s, k.ID, func(k *keys.Key) {
					n, _ := strconv.Atoi(k.Metadata["n"])
					k.Metadata = map[string]string{"n": strconv.Itoa(n + 1)}
				})
				if err != nil {
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	wg.Wait()
	got := f.key(f.store, k.ID)
	if got.Metadata["n"] != strconv.Itoa(4*rounds) || got.Version != 4*rounds+1 {
		t.Errorf("got n=%s, version %d, want %d and %d", got.Metadata["n"], got.Version, 4*rounds, 4*rounds+1)
	}
	if n := len(f.events()); n != 4*rounds+1 {
		t.Errorf("got %d audit rows, want %d", n, 4*rounds+1)
	}
}

func racingRevokesAreOne(t *testing.T, f *fixture) {
	other := f.another()
	for range 10 {
		k := f.create("raced", nil)
		audit := len(f.events())
		var wg sync.WaitGroup
		got := make([]*keys.Key, 4)
		for i, s := range []store.Store{f.store, other, f.store, other} {
			m := f.manager(s)
			wg.Go(func() {
				var err error
				if got[i], err = m.Revoke(t.Context(), k.ID, "by "+strconv.Itoa(i)); err != nil {
					t.Errorf("Revoke: %v", err)
				}
			})
		}
		wg.Wait()
		if n := len(f.events()) - audit; n != 1 {
			t.Fatalf("got %d audit rows, want 1", n)
		}
		stored := f.key(f.store, k.ID)
		for _, k := range got {
			if d := diff(stored, k); d != "" {
				t.Fatalf("Revoke returned another key than the one stored (-stored +got):\n%s", d)
			}
		}
	}
}

// A caller that disconnects during a revocation must not leave the key half revoked, or undo
// the revocation.
func cancelHalvesNothing(t *testing.T, f *fixture) {
	k := f.create("cancelled", nil)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := f.store.Update(ctx, k.ID, func(k *keys.Key) (audit.Event, error) {
		cancel()
		k.RevokedAt = f.now
		k.Version++
		f.store.Peppers().Seal(k)
		return f.event(k.ID), nil
	})
	if err != nil {
		t.Errorf("Update cancelled half-way: got %v, want it to go on", err)
	}
	if f.key(f.store, k.ID).RevokedAt.IsZero() || len(f.events()) != 2 {
		t.Errorf("Update cancelled half-way did not land with its audit row")
	}

	before := f.state()
	late := f.newKey("late", nil)
	switch err := f.store.Create(cancelled(t), late, f.event(late.ID)); {
	case err != nil:
		f.wantSame("Create refused under a cancelled context", before)
	default:
		f.key(f.store, late.ID)
	}
}
