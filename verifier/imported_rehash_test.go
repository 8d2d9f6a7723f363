package verifier_test

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// secret is the first secret of a key, as it stands in the store.
func (b *bench) secret(t *testing.T, id string) keys.KeySecret {
	t.Helper()
	k, err := b.store.Key(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return k.Secrets[0]
}

// kept waits until a key's secret is kept under scheme.
func (b *bench) kept(t *testing.T, id string, scheme keys.Scheme) keys.KeySecret {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		if s := b.secret(t, id); s.Scheme == scheme {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("key %s: kept under %s, want %s", id, b.secret(t, id).Scheme, scheme)
		}
	}
}

// The first use of an imported key tells its token. If that is strong the key is kept
// like our own from then on, and no check of it is slow again, in no process; if it can
// be guessed, its slow hash stays.
func TestImportedIsRehashed(t *testing.T) {
	b := newBench(t)
	v, err := verifier.New(local.New(b.store, nil), nil) // which can write
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	const strong = "api01.3ZJ9vYkQ0hW2mRbT7xLsN4"
	sum := sha256.Sum256([]byte("x" + strongToken))
	b.imports(t, "weak", "", "api02", slowHash(t, "s3cret", 4))
	b.imports(t, "slow", "", "api01", slowHash(t, "3ZJ9vYkQ0hW2mRbT7xLsN4", 4))
	b.imports(t, "sum", "", "", fmt.Sprintf("sha256:%x", sum))
	weak := wantCode(t, v, "api02.s3cret", verifier.Call{}, keys.CodeValid, "weak")
	for token, name := range map[string]string{strong: "slow", "x" + strongToken: "sum"} {
		d := wantCode(t, v, token, verifier.Call{}, keys.CodeValid, name)
		before := b.secret(t, d.KeyID)
		after := b.kept(t, d.KeyID, keys.SchemeHMAC)
		if !after.Imported() || after.Number != before.Number || !after.CreatedAt.Equal(before.CreatedAt) {
			t.Errorf("%s: got %+v, want an imported secret like before", name, after)
		}
		again := wantCode(t, v, token, verifier.Call{}, keys.CodeValid, name+" again")
		if again.KeyID != d.KeyID || again.Secret != d.Secret {
			t.Errorf("%s again: got another identity", name)
		}
		callOff := b.holdSlowHashes() // another process, which cannot compute any
		b.want(t, token, verifier.Call{}, keys.CodeValid)
		b.want(t, token+"x", verifier.Call{}, keys.CodeNotFound)
		callOff()
		if _, err := b.manager.Revoke(t.Context(), d.KeyID, ""); err != nil {
			t.Fatal(err)
		}
		wantCode(t, v, token, verifier.Call{}, keys.CodeRevoked, name+" revoked")
		b.want(t, token, verifier.Call{}, keys.CodeRevoked)
	}
	if err := v.Close(); err != nil { // waits for what is under way
		t.Fatal(err)
	}
	if s := b.secret(t, weak.KeyID); s.Scheme != keys.SchemeBcrypt {
		t.Errorf("weak: kept under %s, want the slow hash that it came with", s.Scheme)
	}
	b.want(t, "api02.s3cret", verifier.Call{}, keys.CodeValid)
}
