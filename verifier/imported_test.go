package verifier_test

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/importing"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

const strongToken = "acme_3ZJ9vYkQ0hW2mRbT7xLsN4"

// imports imports one key under the given token, or hash with an id.
func (b *bench) imports(t *testing.T, name, token, id, hash string) {
	t.Helper()
	r := importing.Row{Line: 1, ID: id, IssueRequest: admin.IssueRequest{Name: name, Scopes: []string{"tools:get_*"}}}
	if token != "" {
		r.Key = keys.NewSecret(token)
	}
	if hash != "" {
		var err error
		if r.Hash, err = pepper.ParseHash(hash); err != nil {
			t.Fatal(err)
		}
	}
	one := func(yield func(importing.Row, error) bool) { yield(r, nil) }
	report, err := importing.Import(t.Context(), b.manager.(*admin.Local), one, importing.Options{})
	if err != nil {
		t.Fatalf("Import: %v (%v)", err, report.Reasons)
	}
}

// slowHash is a bcrypt hash of secret, as another system would have kept it.
func slowHash(t *testing.T, secret string, cost int) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(secret), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

// Imported keys are checked under their own tokens: the first time by what the other
// system kept, from then on from memory, without a read of the store.
func TestImported(t *testing.T) {
	b := newBench(t)
	sum256, sum512 := sha256.Sum256([]byte("one"+strongToken)), sha512.Sum512([]byte("two"+strongToken))
	b.imports(t, "sha256", "", "", fmt.Sprintf("sha256:%x", sum256))
	b.imports(t, "sha512", "", "", fmt.Sprintf("sha512:%x", sum512))
	b.imports(t, "plain", "three"+strongToken, "", "")
	b.imports(t, "bcrypt", "", "api01", slowHash(t, "s3cret", 4))
	b.imports(t, "weak", "api02.hunter2", "", "")
	for token, name := range map[string]string{
		"one" + strongToken: "sha256", "two" + strongToken: "sha512", "three" + strongToken: "plain",
		"api01.s3cret": "bcrypt", "api02.hunter2": "weak",
	} {
		first := b.want(t, token, verifier.Call{}, keys.CodeValid)
		before := b.reader.reads.Load()
		second := b.want(t, token, verifier.Call{}, keys.CodeValid)
		if n := b.reader.reads.Load() - before; n != 0 {
			t.Errorf("%s: the second check made %d reads, want none", name, n)
		}
		if first.Identity.Name() != name || second.Identity != first.Identity || second.KeyID != first.KeyID || !second.Identity.Allows("tools:get_x") {
			t.Errorf("%s: got %q and %q, want the same identity twice", name, first.Identity.Name(), second.Identity.Name())
		}
		if d := b.want(t, token+"x", verifier.Call{}, keys.CodeNotFound); d.KeyID != "" {
			t.Errorf("%s: a wrong token is said to be of key %s", name, d.KeyID)
		}
		b.want(t, token, verifier.Call{Kind: keys.KindAdmin}, keys.CodeWrongKind)
		if _, err := b.manager.Disable(t.Context(), first.KeyID, ""); err != nil {
			t.Fatal(err)
		}
		b.want(t, token, verifier.Call{}, keys.CodeDisabled)
		if _, err := b.manager.Revoke(t.Context(), first.KeyID, ""); err != nil {
			t.Fatal(err)
		}
		b.want(t, token, verifier.Call{}, keys.CodeRevoked)
	}
}

// Junk that is not of our shape ends without a read of the store while nothing is
// imported. The first import, by whatever process, is noticed by the next check, and
// then a text that no key has costs only one read.
func TestImportedJunk(t *testing.T) {
	b := newBench(t)
	b.issue(t, admin.IssueRequest{Name: "native"})
	junk := []string{
		"x", "password", strongToken, "api01.s3cret", strings.Repeat("x", 256), strings.Repeat("x", 257), "a b c d e f", "\x00\x00\x00\x00\x00\x00\x00\x00",
		"mcpk_", strings.Repeat("_", keys.TokenLen), "Basic dXNlcjpwYXNz",
	}
	for range 50 {
		for _, text := range junk {
			b.want(t, text, verifier.Call{}, keys.CodeMalformed)
		}
	}
	if n := b.reader.reads.Load(); n != 0 {
		t.Errorf("junk made %d reads of the store, want none", n)
	}
	b.imports(t, "imported", strongToken, "", "")
	b.want(t, strongToken, verifier.Call{}, keys.CodeValid)
	for i, text := range junk {
		before := b.reader.reads.Load()
		for range 3 {
			if d := b.v.Authenticate(t.Context(), text, verifier.Call{}); d.Valid() != (text == strongToken) {
				t.Errorf("junk %d: got %v", i, d.Code)
			}
		}
		if n := b.reader.reads.Load() - before; n > 1 {
			t.Errorf("junk %d made %d reads of the store, want at most one", i, n)
		}
	}
	for range 20 { // nor does our own shape
		before := b.reader.reads.Load()
		b.want(t, stranger()[:keys.TokenLen-1]+"!", verifier.Call{}, keys.CodeMalformed)
		if n := b.reader.reads.Load() - before; n != 0 {
			t.Errorf("junk of our own shape made %d reads", n)
		}
	}
}

// A token of another system may have 54 characters, with an underscore and even a known
// id where ours have them.
func TestImportedThatLooksLikeOurs(t *testing.T) {
	b := newBench(t)
	id, native := b.issue(t, admin.IssueRequest{Name: "native"})
	twin := "acme_" + id + native[17:53] + otherDigit(native[53])
	stranger := "acme_" + strings.Repeat("x", 12) + native[17:]
	b.imports(t, "twin", twin, "", "")
	b.imports(t, "stranger", stranger, "", "")
	for range 2 {
		for token, name := range map[string]string{native: "native", twin: "twin", stranger: "stranger"} {
			if d := b.want(t, token, verifier.Call{}, keys.CodeValid); d.Identity.Name() != name {
				t.Errorf("got %q, want %q", d.Identity.Name(), name)
			}
		}
	}
	b.want(t, "mcpk_"+twin[5:], verifier.Call{}, keys.CodeMalformed)
}

// Guessing is limited: unknown tokens in another form count against the address that sends
// them, like unknown ids.
func TestImportedStrangers(t *testing.T) {
	b := newBench(t)
	v := b.limited(t, 5)
	b.imports(t, "imported", strongToken, "", "")
	codes := map[keys.Code]int{}
	for i := range 20 {
		codes[v.Authenticate(t.Context(), fmt.Sprint("guess-number-", i), from("192.0.2.1")).Code]++
	}
	if codes[keys.CodeNotFound] == 0 || codes[keys.CodeRateLimited] == 0 || codes[keys.CodeValid] != 0 {
		t.Errorf("20 guesses: got %v, want the first unknown and then none looked at", codes)
	}
	wantCode(t, v, strongToken, from("192.0.2.2"), keys.CodeValid, "a good one from elsewhere")
	wantCode(t, v, strongToken, from("192.0.2.1"), keys.CodeValid, "one that is remembered")
}

// TestA6SlowGuesses: each wrong secret behind a known id costs a slow hash. One address
// gets few of them, and its neighbours get theirs.
func TestA6SlowGuesses(t *testing.T) {
	b := newBench(t)
	b.imports(t, "slow", "", "api01", slowHash(t, "s3cret", 4))
	codes := map[keys.Code]int{}
	for i := range 30 {
		codes[b.v.Authenticate(t.Context(), fmt.Sprint("api01.guess-", i), from("192.0.2.1")).Code]++
	}
	if codes[keys.CodeNotFound] != 10 || codes[keys.CodeRateLimited] != 20 {
		t.Errorf("30 guesses: got %v, want 10 tried and 20 refused", codes)
	}
	b.want(t, "api01.s3cret", from("192.0.2.2"), keys.CodeValid)
	b.want(t, "api01.s3cret", from("192.0.2.1"), keys.CodeValid) // it is remembered
	for range 3 {
		b.want(t, "api01.guess-1", from("192.0.2.1"), keys.CodeNotFound) // so is this
	}
}

// TestA6QueueFlood: a stranger knows an imported key's public id, has many addresses,
// and sends wrong secrets for it as fast as he can: each costs a slow hash. Keys of our
// own shape, and imported ones that are remembered or under a fast hash, pass all the
// while; what waits is bounded, and told to come back; and another slow key, first seen
// during the flood, gets its turn.
func TestA6QueueFlood(t *testing.T) {
	b := newBench(t)
	b.imports(t, "target", "", "target", slowHash(t, "s3cret", 10))
	b.imports(t, "other", "", "other", slowHash(t, "s3cret", 10))
	b.imports(t, "fast", strongToken, "", "")
	_, native := b.issue(t, admin.IssueRequest{Name: "native"})
	ctx, over := context.WithCancel(context.WithoutCancel(t.Context()))
	var unavailable, tried atomic.Int64
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				d := b.v.Authenticate(ctx, fmt.Sprintf("target.wrong-%d-%d", i, n), from(fmt.Sprintf("10.%d.%d.%d", i, n/250, n%250+1)))
				switch {
				case d.Valid():
					t.Error("a wrong secret passed")
				case d.Code == keys.CodeUnavailable:
					if d.RetryAfter <= 0 || !errors.Is(d.Cause, keys.ErrUnavailable) {
						t.Errorf("got %+v, want when to come back", d)
					}
					unavailable.Add(1)
				case d.Code == keys.CodeNotFound:
					tried.Add(1)
				}
			}
		})
	}
	for unavailable.Load() < 100 || tried.Load() < 1 {
		runtime.Gosched() // until the flood is on
	}
	began := time.Now()
	for i := range 200 {
		_, unseen := b.issue(t, admin.IssueRequest{Name: fmt.Sprint("unseen ", i)})
		for _, token := range []string{native, unseen, strongToken} {
			b.want(t, token, from("192.0.2.1"), keys.CodeValid)
		}
	}
	t.Logf("600 checks of fast keys within %v; of the flood %d tried, %d sent away", time.Since(began), tried.Load(), unavailable.Load())
	for try := 0; ; try++ { // it may have to come back, and is not shut out
		d := b.v.Authenticate(t.Context(), "other.s3cret", from("192.0.2.1"))
		if d.Valid() {
			break
		}
		if d.Code != keys.CodeUnavailable || try > 20 {
			t.Fatalf("another slow key, try %d: got %v", try, d.Code)
		}
	}
	b.want(t, "other.s3cret", from("192.0.2.1"), keys.CodeValid)
	over()
	wg.Wait()
	b.want(t, "target.s3cret", from("192.0.2.1"), keys.CodeValid)
}

// A client opens many connections with a new key: its slow hash is
// computed once, and all of them pass.
func TestSlowHashIsShared(t *testing.T) {
	b := newBench(t)
	b.imports(t, "slow", "", "api01", slowHash(t, "s3cret", 8))
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if d := b.v.Authenticate(context.WithoutCancel(t.Context()), "api01.s3cret", from("192.0.2.1")); !d.Valid() {
				t.Errorf("got %v (%v), want valid", d.Code, d.Cause)
			}
		})
	}
	wg.Wait()
}

// Who hangs up while waiting does not spoil it for others, and hears nothing wrong.
func TestSlowHashAndHangingUp(t *testing.T) {
	b := newBench(t)
	b.imports(t, "slow", "", "api01", slowHash(t, "s3cret", 4))
	gone, cancel := context.WithCancel(t.Context())
	b.want(t, "api01.other", verifier.Call{}, keys.CodeNotFound) // the first look is over
	cancel()
	if d := b.v.Authenticate(gone, "api01.s3cret", verifier.Call{}); d.Code != keys.CodeUnavailable && d.Code != keys.CodeValid {
		t.Errorf("after hanging up: got %v", d.Code)
	}
	b.want(t, "api01.s3cret", verifier.Call{}, keys.CodeValid)
}

// An edit makes everybody forget the key, and not the slow hash that was computed: while
// none can be, the key passes that was checked before, and a new one waits in vain.
func TestSlowHashSurvivesEdit(t *testing.T) {
	b := newBench(t)
	b.imports(t, "slow", "", "api01", slowHash(t, "s3cret", 4))
	b.imports(t, "unseen", "", "api02", slowHash(t, "s3cret", 4))
	d := b.want(t, "api01.s3cret", verifier.Call{}, keys.CodeValid)
	name := "renamed"
	if _, err := b.manager.Edit(t.Context(), d.KeyID, admin.EditRequest{Name: &name}); err != nil {
		t.Fatal(err)
	}
	callOff := b.holdSlowHashes()
	if d := b.want(t, "api01.s3cret", verifier.Call{}, keys.CodeValid); d.Identity.Name() != name {
		t.Errorf("got %q, want the new name", d.Identity.Name())
	}
	if d := b.want(t, "api02.s3cret", verifier.Call{}, keys.CodeUnavailable); d.RetryAfter <= 0 {
		t.Errorf("after waiting in vain: got %+v, want when to come back", d)
	}
	callOff()
	b.want(t, "api02.s3cret", verifier.Call{}, keys.CodeValid)
}

// What cannot be read is unavailable, and no token is taken for junk meanwhile.
func TestImportedUnavailable(t *testing.T) {
	b := newBench(t)
	b.imports(t, "imported", strongToken, "", "")
	b.want(t, "another-token", verifier.Call{}, keys.CodeNotFound)
	b.reader.pulled.Store(true)
	b.want(t, strongToken, verifier.Call{}, keys.CodeUnavailable)
	b.reader.pulled.Store(false)
	b.want(t, strongToken, verifier.Call{}, keys.CodeValid)
}

// Two keys may have come to the same token, once by one sum and once by another. When one
// of them is revoked, the token is: it was told to be bad.
func TestImportedTwinIsRevoked(t *testing.T) {
	b := newBench(t)
	b.imports(t, "in the clear", strongToken, "", "")
	b.imports(t, "by sha512", "", "", fmt.Sprintf("sha512:%x", sha512.Sum512([]byte(strongToken))))
	ids, err := b.store.FindImported(t.Context(), b.store.Peppers().Lookups(keys.NewSecret(strongToken)))
	if err != nil || len(ids) != 2 {
		t.Fatalf("FindImported: got %v, %v, want two", ids, err)
	}
	b.want(t, strongToken, verifier.Call{}, keys.CodeValid)
	if _, err := b.manager.Revoke(t.Context(), ids[1], ""); err != nil { // not the one that is found first
		t.Fatal(err)
	}
	b.want(t, strongToken, verifier.Call{}, keys.CodeRevoked) // also by who remembers the other one
	v, err := verifier.New(local.New(b.reader, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	wantCode(t, v, strongToken, verifier.Call{}, keys.CodeRevoked, "the twin")
}

// Two slow hashes of one token are never alike, so no import can tell that they are of
// one. Whichever of the two keys is revoked, the token is bad.
func TestSlowTwinIsRevoked(t *testing.T) {
	for n := range 2 {
		b := newBench(t)
		b.imports(t, "one", "", "api01", slowHash(t, "hunter2", 4))
		b.imports(t, "other", "", "api01", slowHash(t, "hunter2", 4))
		ids, err := b.store.FindImported(t.Context(), b.store.Peppers().Lookups(keys.NewSecret("api01.hunter2")))
		if err != nil || len(ids) != 2 {
			t.Fatalf("FindImported: got %v, %v, want two", ids, err)
		}
		b.want(t, "api01.hunter2", verifier.Call{}, keys.CodeValid)
		if _, err := b.manager.Revoke(t.Context(), ids[n], ""); err != nil {
			t.Fatal(err)
		}
		b.want(t, "api01.hunter2", verifier.Call{}, keys.CodeRevoked)
	}
}
