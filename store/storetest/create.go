package storetest

import (
	"errors"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

func takenIDIsRefused(t *testing.T, f *fixture) {
	first := f.create("first", nil)
	f.mustUpdate(first.ID, func(k *keys.Key) { k.RevokedAt = f.now }) // an id is never free again
	second := f.newKey("second", func(k *keys.Key) { k.ID = first.ID })
	before := f.state()
	err := f.store.Create(t.Context(), second, f.event(second.ID))
	if !errors.Is(err, keys.ErrIDTaken) || !errors.Is(err, keys.ErrConflict) {
		t.Errorf("Create: got %v, want ErrIDTaken", err)
	}
	f.wantSame("taken id", before)
}

func takenNameIsRefused(t *testing.T, f *fixture) {
	f.create("ci", func(k *keys.Key) { k.Owner = "ann" })
	f.create("ci", func(k *keys.Key) { k.Owner = "bob" }) // another owner's names are its own
	f.create("ci", nil)                                   // keys without an owner too
	f.create("CI", nil)                                   // case counts
	other := f.create("other", func(k *keys.Key) { k.Owner = "ann" })
	before := f.state()
	for _, owner := range []string{"ann", "bob", ""} {
		k := f.newKey("ci", func(k *keys.Key) { k.Owner = owner })
		if err := f.store.Create(t.Context(), k, f.event(k.ID)); !errors.Is(err, keys.ErrNameTaken) {
			t.Errorf("Create for %q: got %v, want ErrNameTaken", owner, err)
		}
	}
	if _, err := f.update(f.store, other.ID, func(k *keys.Key) { k.Name = "ci" }); !errors.Is(err, keys.ErrNameTaken) {
		t.Errorf("Update to a taken name: got %v, want ErrNameTaken", err)
	}
	f.wantSame("taken name", before)
}

func nameIsFreeAfterRevoke(t *testing.T, f *fixture) {
	first := f.create("ci", nil)
	f.mustUpdate(first.ID, func(k *keys.Key) { k.RevokedAt = f.now })
	second := f.create("ci", nil)
	f.wantList("unrevoked", keys.Query{Name: "ci", Unrevoked: true}, "ci")
	f.wantList("all", keys.Query{Name: "ci"}, "ci", "ci")
	if k := f.key(f.store, second.ID); k.ID == first.ID || !k.RevokedAt.IsZero() {
		t.Errorf("Key: got %v, want the second key, unrevoked", k.ID)
	}
}

// A key without a seal would be refused at every check, and no change to it could be
// trusted, so it must not be stored.
func unsealedIsNotWritten(t *testing.T, f *fixture) {
	stored := f.create("stored", nil)
	before := f.state()
	for name, spoil := range map[string]func(*keys.Key){
		"no seal":                   func(k *keys.Key) { k.Seal = keys.Seal{} },
		"changed after sealing":     func(k *keys.Key) { k.Scopes = []string{"*"} },
		"text that is not UTF-8":    func(k *keys.Key) { k.Metadata = map[string]string{"a": "\xff"}; f.store.Peppers().Seal(k) },
		"another key's seal":        func(k *keys.Key) { k.Seal = stored.Seal },
		"an unknown pepper":         func(k *keys.Key) { k.Seal.PepperID = "unknown" },
		"another pepper's secret":   func(k *keys.Key) { k.Secrets[0].PepperID = "unknown"; f.store.Peppers().Seal(k) },
		"a secret in wrong order":   func(k *keys.Key) { k.Secrets = append(k.Secrets, k.Secrets[0]); f.store.Peppers().Seal(k) },
		"a version that went wrong": func(k *keys.Key) { k.Version++ },
	} {
		k := f.newKey("new", nil)
		spoil(k)
		if err := f.store.Create(t.Context(), k, f.event(k.ID)); err == nil {
			t.Errorf("Create, %s: got no error", name)
		}
		_, err := f.store.Update(t.Context(), stored.ID, func(k *keys.Key) (audit.Event, error) {
			spoil(k)
			k.RevokedReason = "after the seal"
			return f.event(k.ID), nil
		})
		if err == nil {
			t.Errorf("Update, %s: got no error", name)
		}
	}
	f.wantSame("unsealed", before)
}

func secretsFollow(t *testing.T, f *fixture) {
	k := f.create("rotating", nil)
	other := f.create("bystander", nil)
	second := f.newSecret(2, keys.NewToken(keys.KindKey))
	third := f.newSecret(3, keys.NewToken(keys.KindKey))
	steps := []struct {
		name string
		edit func(*keys.Key)
		want []int64
	}{
		{"added", func(k *keys.Key) { k.Secrets = append(k.Secrets, second) }, []int64{1, 2}},
		{"changed", func(k *keys.Key) { k.Secrets[0].ExpiresAt = f.now }, []int64{1, 2}},
		{"changed in place", func(k *keys.Key) { k.Secrets[1].Digest[0] ^= 1 }, []int64{1, 2}},
		{"one replaced by another", func(k *keys.Key) { k.Secrets = []keys.KeySecret{k.Secrets[0], third} }, []int64{1, 3}},
		{"removed", func(k *keys.Key) { k.Secrets = k.Secrets[1:] }, []int64{3}},
		{"all replaced", func(k *keys.Key) { k.Secrets = []keys.KeySecret{k.Secrets[0], second}; k.Secrets[0].Number = 1 }, []int64{1, 2}},
	}
	for _, step := range steps {
		var want []keys.KeySecret
		updated := f.mustUpdate(k.ID, func(k *keys.Key) { step.edit(k); want = k.Secrets })
		got := f.key(f.store, k.ID)
		if d := diff(want, got.Secrets); d != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, d)
		}
		if d := diff(updated, got); d != "" {
			t.Errorf("%s: Update returned another key than Key (-Update +Key):\n%s", step.name, d)
		}
		for i, n := range step.want {
			if got.Secrets[i].Number != n {
				t.Errorf("%s: secret %d: got number %d, want %d", step.name, i, got.Secrets[i].Number, n)
			}
		}
	}
	if d := diff(other, f.key(f.store, other.ID)); d != "" {
		t.Errorf("another key changed (-want +got):\n%s", d)
	}
}

func oneSecretOrTwo(t *testing.T, f *fixture) {
	stored := f.create("stored", nil)
	before := f.state()
	for n, secrets := range map[int][]keys.KeySecret{
		0: nil,
		3: {f.newSecret(1, keys.NewToken(keys.KindKey)), f.newSecret(2, keys.NewToken(keys.KindKey)), f.newSecret(3, keys.NewToken(keys.KindKey))},
	} {
		k := f.newKey("new", func(k *keys.Key) { k.Secrets = secrets })
		if err := f.store.Create(t.Context(), k, f.event(k.ID)); err == nil {
			t.Errorf("Create with %d secrets: got no error", n)
		}
		if _, err := f.update(f.store, stored.ID, func(k *keys.Key) { k.Secrets = secrets }); err == nil {
			t.Errorf("Update to %d secrets: got no error", n)
		}
	}
	f.wantSame("none or three secrets", before)
}
