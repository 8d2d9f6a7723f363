package verifier_test

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// renewing gives the bench a verifier on the query-only store itself, which can renew
// digests. Told counts what it complains of.
func (b *bench) renewing(t *testing.T) (told *atomic.Int64) {
	t.Helper()
	r, err := sqlite.OpenVerifier(b.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	told = new(atomic.Int64)
	start := b.now
	clock := func() time.Time { return start.Add(time.Duration(b.later.Load())) } // read in the background too
	b.v, err = verifier.New(local.New(r, &local.Options{
		Now:           clock,
		OnRehashError: func(error) { told.Add(1) },
	}), &verifier.Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.v.Close() })
	return told
}

func (b *bench) addPepper(t *testing.T) string {
	t.Helper()
	id, err := b.manager.(*admin.Local).AddPepper(t.Context())
	if err != nil {
		t.Fatalf("AddPepper: %v", err)
	}
	return id
}

// eventually waits for what happens in the background.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); runtime.Gosched() {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// keptWith returns the pepper of the key's one secret.
func (b *bench) keptWith(t *testing.T, id string) string {
	t.Helper()
	return b.key(t, id).Secrets[0].PepperID
}

func (b *bench) key(t *testing.T, id string) *keys.Key {
	t.Helper()
	k, err := b.manager.Key(t.Context(), id)
	if err != nil {
		t.Fatalf("Key: %v", err)
	}
	return k
}

func (b *bench) audit(t *testing.T, action audit.Action) []audit.Event {
	t.Helper()
	all, err := b.store.Events(t.Context(), 0, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	var some []audit.Event
	for _, e := range all {
		if e.Action == action {
			some = append(some, e)
		}
	}
	return some
}

// A key that is used after a pepper was added comes to be kept with that one, and is the
// same key afterwards: its limit is as used up as it was, its calls are counted, its
// version stands.
func TestUseRenewsDigest(t *testing.T) {
	b := newBench(t)
	b.renewing(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci", RateLimit: keys.RateLimit{Count: 4, Window: time.Hour, Burst: 4}})
	idle, _ := b.issue(t, admin.IssueRequest{Name: "idle"})
	before := b.key(t, id)
	b.want(t, token, verifier.Call{}, keys.CodeValid)

	pepper := b.addPepper(t)
	if d := b.want(t, token, verifier.Call{}, keys.CodeValid); d.Remaining != 2 {
		t.Errorf("remaining after AddPepper: got %d, want 2", d.Remaining)
	}
	eventually(t, "the digest is renewed", func() bool { return b.keptWith(t, id) == pepper })
	if d := b.want(t, token, verifier.Call{}, keys.CodeValid); d.Remaining != 1 {
		t.Errorf("remaining after the re-hash: got %d, want 1", d.Remaining)
	}
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	b.want(t, token, verifier.Call{}, keys.CodeRateLimited)
	if err := b.v.Close(); err != nil {
		t.Fatal(err)
	}

	after := b.key(t, id)
	if after.Version != before.Version || after.Seal.PepperID != pepper || after.Secrets[0].Number != 1 ||
		!after.Secrets[0].CreatedAt.Equal(before.Secrets[0].CreatedAt) || !after.ExpiresAt.Equal(before.ExpiresAt) {
		t.Errorf("the key afterwards: got %+v, want but for digest and seal %+v", after, before)
	}
	if got := b.keptWith(t, idle); got == pepper {
		t.Error("an unused key has another digest")
	}
	events := b.audit(t, audit.ActionRehash)
	if len(events) != 1 || events[0].KeyID != id || events[0].Actor != "mcpkeys:rehash" || !strings.Contains(events[0].Detail, `"pepper":"`+pepper+`"`) {
		t.Errorf("audit: got %+v, want one row by mcpkeys:rehash that names %s", events, pepper)
	}
	usage, err := b.manager.Usage(t.Context(), id, b.now.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	calls := int64(0)
	for _, c := range usage.Counts {
		calls += c.Calls
	}
	if calls != 5 {
		t.Errorf("calls counted: got %d, want 5", calls)
	}
}

// If nothing can be written, no digest is renewed. No key is refused for it, it is reported
// once, and digests are renewed when writing works again.
func TestRehashThatFailsHarmsNobody(t *testing.T) {
	b := newBench(t)
	told := b.renewing(t)
	var ids, tokens []string
	for _, name := range []string{"one", "two", "three"} {
		id, token := b.issue(t, admin.IssueRequest{Name: name})
		ids, tokens = append(ids, id), append(tokens, token)
	}
	pepper := b.addPepper(t)
	// A database shell has the lock of those who write.
	unlock := b.lockWrites(t)
	for _, token := range tokens {
		b.want(t, token, verifier.Call{}, keys.CodeValid)
	}
	eventually(t, "the failure is told", func() bool { return told.Load() == 1 })
	unlock()

	forget := func(id string) {
		for _, do := range []func() error{
			func() error { _, err := b.manager.Disable(t.Context(), id, ""); return err },
			func() error { _, err := b.manager.Enable(t.Context(), id); return err },
		} {
			if err := do(); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.later.Add(int64(time.Minute))
	for i, id := range ids {
		forget(id)
		b.want(t, tokens[i], verifier.Call{}, keys.CodeValid)
		eventually(t, "the digest is renewed", func() bool { return b.keptWith(t, id) == pepper })
	}
	if n := told.Load(); n != 1 {
		t.Errorf("the failure was told %d times, want once", n)
	}
}

// The attack: a client sends a revoked key again and again, to make the server write.
func TestA22RevokedKeyIsNotRehashed(t *testing.T) {
	b := newBench(t)
	b.renewing(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	b.addPepper(t)
	b.revoked(t, id)
	for range 3 {
		b.want(t, token, verifier.Call{}, keys.CodeRevoked)
	}
	if err := b.v.Close(); err != nil {
		t.Fatal(err)
	}
	if rows := b.audit(t, audit.ActionRehash); len(rows) != 0 {
		t.Errorf("a revoked key was re-hashed: %+v", rows)
	}
}
