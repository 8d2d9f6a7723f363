package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// wantReads fails unless the store was asked for n keys since the test began.
func (b *bench) wantReads(t *testing.T, n int64) {
	t.Helper()
	if got := b.reader.reads.Load(); got != n {
		t.Errorf("the store was asked for a key %d times, want %d", got, n)
	}
}

// edit changes a key as an administrator's program would.
func (b *bench) edit(t *testing.T, id string, edit func(*keys.Key)) {
	t.Helper()
	_, err := b.store.Update(t.Context(), id, func(k *keys.Key) (audit.Event, error) {
		edit(k)
		k.Version++
		b.store.Peppers().Seal(k)
		return b.event(id), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) event(id string) audit.Event {
	return audit.Event{ID: uuid.Must(uuid.NewV7()), At: b.now, Actor: "test", Action: "key.test", KeyID: id, RequestID: "r", Detail: "{}"}
}

func (b *bench) revoke(t *testing.T, id string) {
	t.Helper()
	if _, err := b.manager.Revoke(t.Context(), id, "test"); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) secretOf(number int64, token keys.Token) keys.KeySecret {
	digest, pepper := b.store.Peppers().Digest(token.Secret())
	return keys.KeySecret{Number: number, Scheme: keys.SchemeHMAC, PepperID: pepper, Digest: digest[:], CreatedAt: b.now.UTC()}
}

// TestHitReadsNothing: a key is read once, and changes of other keys do not matter
// to it.
func TestHitReadsNothing(t *testing.T) {
	b := newBench(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	for i := range 50 {
		b.want(t, token, verifier.Call{}, keys.CodeValid)
		b.issue(t, admin.IssueRequest{Name: fmt.Sprint("other ", i)})
	}
	b.wantReads(t, 1)
	b.edit(t, id, func(k *keys.Key) { k.Owner = "team-b" })
	if d := b.want(t, token, verifier.Call{}, keys.CodeValid); d.Identity.Owner() != "team-b" {
		t.Errorf("owner after a change: got %q, want team-b", d.Identity.Owner())
	}
	b.wantReads(t, 2)
}

// TestNextCheckAfterARevoke: another handle revokes, and the very next check of the
// remembered key is refused, without any time passing.
func TestNextCheckAfterARevoke(t *testing.T) {
	b := newBench(t)
	for i := range 50 {
		id, token := b.issue(t, admin.IssueRequest{Name: fmt.Sprint("key ", i)})
		b.want(t, token, verifier.Call{}, keys.CodeValid)
		b.want(t, token, verifier.Call{}, keys.CodeValid)
		b.revoke(t, id)
		b.want(t, token, verifier.Call{}, keys.CodeRevoked)
	}
	b.wantReads(t, 100)
}

// TestA17RevokeUnderLoad: while a key is being checked all the time it is revoked by
// another handle. No check that began after the revoke returned passes.
func TestA17RevokeUnderLoad(t *testing.T) {
	b := newBench(t)
	for i := range 40 {
		id, token := b.issue(t, admin.IssueRequest{Name: fmt.Sprint("key ", i)})
		var returned, over atomic.Bool
		var late, passed atomic.Int64
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for !over.Load() {
					after := returned.Load()
					if b.v.Authenticate(context.Background(), token, verifier.Call{}).Valid() {
						passed.Add(1)
						if after {
							late.Add(1)
						}
					}
				}
			})
		}
		for passed.Load() < 100 {
			runtime.Gosched()
		}
		b.revoke(t, id)
		returned.Store(true)
		b.want(t, token, verifier.Call{}, keys.CodeRevoked)
		over.Store(true)
		wg.Wait()
		if n := late.Load(); n != 0 {
			t.Fatalf("round %d: %d checks passed that began after the revoke had returned", i, n)
		}
	}
}

// TestA19DiedBetweenCommitAndEpoch: a process commits a revoke and is killed before it moves
// the epoch, so it acknowledged nothing. A second revoke changes nothing, and from then on
// the key is refused. The test writes the epoch page's old content back into it.
func TestA19DiedBetweenCommitAndEpoch(t *testing.T) {
	b := newBench(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	b.want(t, token, verifier.Call{}, keys.CodeValid)

	page, err := os.OpenFile(b.path+"-epoch", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = page.Close() }()
	before := make([]byte, 4096)
	_, err1 := page.ReadAt(before, 0)
	b.revoke(t, id)
	_, err2 := page.WriteAt(before, 0)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if k, err := b.store.Key(t.Context(), id); err != nil || k.RevokedAt.IsZero() {
		t.Fatalf("the revocation was not committed: %v", err)
	}
	b.want(t, token, verifier.Call{}, keys.CodeValid) // or the next lines show nothing
	b.revoke(t, id)
	b.want(t, token, verifier.Call{}, keys.CodeRevoked)
}

func rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// TestDatabaseShellIsNoticed: editing a row does not move the epoch. The next poll finds it,
// and the row's seal does not match.
func TestDatabaseShellIsNoticed(t *testing.T) {
	b := newBench(t)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	b.sqlShell(t, `UPDATE keys SET scopes = '["*"]'`)
	b.now = b.now.Add(250 * time.Millisecond)
	b.want(t, token, verifier.Call{}, keys.CodeUnavailable)
}

// TestA5HotCaches: what looks like a remembered key is refused without a read, and
// does not disturb the key.
func TestA5HotCaches(t *testing.T) {
	b := newBench(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "one"})
	_, other := b.issue(t, admin.IssueRequest{Name: "two"})
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	b.want(t, other, verifier.Call{}, keys.CodeValid)
	for range 3 {
		for _, text := range []string{
			withCheck(other[:5] + id + other[17:48]),
			withCheck(token[:47] + otherDigit(token[47])),
			withCheck(token[:18] + otherDigit(token[18]) + token[19:48]),
			withCheck("mcpa" + token[4:48]),
		} {
			b.want(t, text, verifier.Call{}, keys.CodeNotFound)
		}
		b.want(t, token[:53]+otherDigit(token[53]), verifier.Call{}, keys.CodeMalformed)
		b.want(t, token, verifier.Call{}, keys.CodeValid)
		b.want(t, other, verifier.Call{}, keys.CodeValid)
	}
	b.wantReads(t, 2)
}

// TestTwoSecrets: during a rotation's grace both secrets are remembered, each until
// its own end.
func TestTwoSecrets(t *testing.T) {
	b := newBench(t)
	id, old := b.issue(t, admin.IssueRequest{Name: "ci"})
	second := keys.NewToken(keys.KindKey).Secret().Reveal()
	second = withCheck(second[:5] + id + second[17:48])
	parsed, err := keys.ParseToken(second)
	if err != nil {
		t.Fatal(err)
	}
	b.edit(t, id, func(k *keys.Key) {
		k.Secrets[0].ExpiresAt = b.now.Add(time.Hour)
		k.Secrets = append(k.Secrets, b.secretOf(2, parsed))
	})
	for range 3 {
		b.want(t, old, verifier.Call{}, keys.CodeValid)
		b.want(t, second, verifier.Call{}, keys.CodeValid)
	}
	b.now = b.now.Add(time.Hour)
	b.want(t, old, verifier.Call{}, keys.CodeExpired)
	b.want(t, second, verifier.Call{}, keys.CodeValid)
	b.wantReads(t, 1)
}

// TestRateOutlivesTheEntry: to change a key does not give its rate back.
func TestRateOutlivesTheEntry(t *testing.T) {
	b := newBench(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci", RateLimit: keys.RateLimit{Count: 2, Window: time.Minute, Burst: 2}})
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	b.edit(t, id, func(k *keys.Key) { k.Owner = "team-b" })
	b.want(t, token, verifier.Call{}, keys.CodeRateLimited)
	b.wantReads(t, 2)
}

// TestUnknownIsForgottenWithAnIssue: a token that no key has is looked up once. When a key
// with it is made, it is valid at once.
func TestUnknownIsForgottenWithAnIssue(t *testing.T) {
	b := newBench(t)
	token := keys.NewToken(keys.KindKey)
	text := token.Secret().Reveal()
	for range 5 {
		b.want(t, text, verifier.Call{}, keys.CodeNotFound)
	}
	b.wantReads(t, 1)
	k := &keys.Key{
		ID: token.ID(), Kind: keys.KindKey, Name: "late", CreatedAt: b.now.UTC(), CreatedBy: "test", Version: 1,
		Secrets: []keys.KeySecret{b.secretOf(1, token)},
	}
	b.store.Peppers().Seal(k)
	if err := b.store.Create(t.Context(), k, b.event(k.ID)); err != nil {
		t.Fatal(err)
	}
	b.want(t, text, verifier.Call{}, keys.CodeValid)
}

// absent is the real store for the keys that were named, and has none of the others,
// so that a flood of them lasts a second and not a minute.
type absent struct {
	*counting
	named map[string]bool
}

func (a absent) Key(ctx context.Context, id string) (*keys.Key, error) {
	if !a.named[id] {
		return nil, keys.ErrNotFound
	}
	return a.counting.Key(ctx, id)
}

// TestA22MemoryIsBounded: a million distinct tokens, well-formed and not, from 250,000
// addresses that each send until they are limited, leave behind only the
// unknown tokens and the addresses that are remembered at most. They lock no key out: a
// remembered key stays remembered, and another one is found.
func TestA22MemoryIsBounded(t *testing.T) {
	b := newBench(t)
	warm, warmToken := b.issue(t, admin.IssueRequest{Name: "warm"})
	cold, coldToken := b.issue(t, admin.IssueRequest{Name: "cold"})
	v, err := verifier.New(local.New(absent{b.reader, map[string]bool{warm: true, cold: true}}, nil), &verifier.Options{
		Strangers: keys.RateLimit{Count: 1, Window: time.Hour, Burst: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	wantCode(t, v, warmToken, from("192.0.2.1"), keys.CodeValid, "a key before the flood")
	template := keys.NewToken(keys.KindKey).Secret().Reveal()
	for i := range 1_000_000 {
		text, want := fmt.Sprintf("mcpk_%012d_%s", i, template[18:48]), keys.CodeMalformed
		switch i % 4 { // what one address sends
		case 0:
			text, want = withCheck(text), keys.CodeNotFound
		case 1:
			text, want = withCheck(text), keys.CodeRateLimited
		default:
			text += "000000"
		}
		source := netip.AddrFrom4([4]byte{10, byte(i >> 18), byte(i >> 10), byte(i >> 2)})
		if d := v.Authenticate(t.Context(), text, verifier.Call{ClientIP: source}); d.Code != want {
			t.Fatalf("Authenticate, token %d of %v: got %v, want %v", i%4, source, d.Code, want)
		}
	}
	if tokens, sources, most := v.Strangers(); tokens > most || sources > most {
		t.Errorf("got %d unknown tokens and %d addresses, want at most %d of each", tokens, sources, most)
	}
	wantCode(t, v, warmToken, from("192.0.2.1"), keys.CodeValid, "a remembered key after the flood")
	b.wantReads(t, 1)
	wantCode(t, v, warmToken, from("10.0.0.0"), keys.CodeValid, "a remembered key from an address of the flood")
	b.wantReads(t, 1)
	wantCode(t, v, coldToken, from("192.0.2.2"), keys.CodeValid, "a key that was not remembered")
	b.wantReads(t, 2)
	wantCode(t, v, stranger(), from("192.0.2.2"), keys.CodeNotFound, "a stranger from a new address")
}

// TestFewCells: a verifier that may remember fewer keys than there are answers
// rightly all the same, also of revoked ones.
func TestFewCells(t *testing.T) {
	b := newBench(t)
	v, err := verifier.New(b.source(b.reader), &verifier.Options{Keys: 4, Now: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	var ids, tokens []string
	for i := range 40 {
		id, token := b.issue(t, admin.IssueRequest{Name: fmt.Sprint("key ", i)})
		ids, tokens = append(ids, id), append(tokens, token)
	}
	for round := range 40 {
		for i, token := range tokens {
			want := keys.CodeValid
			if i < round {
				want = keys.CodeRevoked
			}
			if d := v.Authenticate(t.Context(), token, verifier.Call{}); d.Code != want {
				t.Fatalf("round %d, key %d: got %v, want %v", round, i, d.Code, want)
			}
		}
		b.revoke(t, ids[round])
	}
}

// TestHangingUpHurtsNobodyElse: the client whose request reads the key disconnects; other
// callers that wait for the same read get their answer.
func TestHangingUpHurtsNobodyElse(t *testing.T) {
	b := newBench(t)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	_, other := b.issue(t, admin.IssueRequest{Name: "other"})
	b.want(t, other, verifier.Call{}, keys.CodeValid) // so that the feed need not be read
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d := b.v.Authenticate(ctx, token, verifier.Call{}); d.Code != keys.CodeValid {
		t.Errorf("Authenticate with a context that is over: got %v (%v), want valid", d.Code, d.Cause)
	}
}

var _ local.Store = (*sqlite.Reader)(nil)
