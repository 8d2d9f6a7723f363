package pepper_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

func mustGenerate(t *testing.T) *pepper.Set {
	t.Helper()
	p, err := pepper.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustAdd(t *testing.T, p *pepper.Set) *pepper.Set {
	t.Helper()
	more, id, err := p.Add()
	if err != nil {
		t.Fatalf("Add: %v", err)
	}
	if id != more.Current() {
		t.Fatalf("Add: got id %s, want that of the current one, %s", id, more.Current())
	}
	return more
}

// keyOf makes a sealed key under the current pepper.
func keyOf(p *pepper.Set) (*keys.Key, keys.Secret) {
	token := keys.NewToken(keys.KindKey)
	digest, id := p.Digest(token.Secret())
	k := &keys.Key{ID: token.ID(), Kind: keys.KindKey, Name: "k", Version: 1, Secrets: []keys.KeySecret{{Number: 1, Scheme: keys.SchemeHMAC, PepperID: id, Digest: digest[:]}}}
	p.Seal(k)
	return k, token.Secret()
}

// A new pepper locks no key out: digests of the old one still verify, in memory and after
// the file was read again.
func TestAddKeepsWhatWasMade(t *testing.T) {
	one := mustGenerate(t)
	before := one.Encode()
	k, token := keyOf(one)
	two := mustAdd(t, one)
	parsed, err := pepper.Parse(two.Encode())
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	for name, p := range map[string]*pepper.Set{"in memory": two, "from its file": parsed} {
		if p.Verify(k, token) == nil || p.CheckSeal(k) != nil {
			t.Errorf("%s: a key of the old pepper is not good any more", name)
		}
		if p.Current() == one.Current() || !p.Has(one.Current()) || !slices.Equal(p.IDs(), []string{one.Current(), two.Current()}) {
			t.Errorf("%s: got current %s of %q, want another one beside %s", name, p.Current(), p.IDs(), one.Current())
		}
	}
	if !bytes.Equal(before, one.Encode()) {
		t.Error("Add: changed the peppers that it was asked of")
	}
}

func TestRemoveTakesOneAway(t *testing.T) {
	one := mustGenerate(t)
	old, oldToken := keyOf(one)
	two := mustAdd(t, one)
	fresh, freshToken := keyOf(two)
	left, err := two.Remove(one.Current())
	if err != nil {
		t.Fatalf("Remove: %v", err)
	}
	if left.Verify(old, oldToken) != nil || !errors.Is(left.CheckSeal(old), keys.ErrTampered) {
		t.Error("Remove: what the removed pepper made is still good")
	}
	if left.Verify(fresh, freshToken) == nil || left.CheckSeal(fresh) != nil {
		t.Error("Remove: what the current pepper made is not good any more")
	}
	if !two.Has(one.Current()) {
		t.Error("Remove: changed the peppers that it was asked of")
	}
	if _, err := left.Remove(left.Current()); !errors.Is(err, keys.ErrConflict) {
		t.Errorf("Remove(current): got %v, want ErrConflict", err)
	}
	if _, err := left.Remove(one.Current()); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("Remove(removed): got %v, want ErrNotFound", err)
	}
}
