package verifier_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// The tests of this file are those orders of events in which a revoked key passes as
// soon as one rule of cache.go, watch.go or internal/flight is broken. Each was seen to fail with
// its rule broken.

// TestA17RowReadBeforeARevoke: a row is read, its key is revoked, the look that finds the
// change ends, and then the row arrives. It must not be remembered, because the revocation
// is not reported a second time.
func TestA17RowReadBeforeARevoke(t *testing.T) {
	b := newBench(t)
	s := b.staged(t, 0)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	_, other := b.issue(t, admin.IssueRequest{Name: "other"})
	s.afterKey.put(func() {
		b.revoked(t, id)
		b.want(t, other, verifier.Call{}, keys.CodeValid) // and makes the look
	})
	b.v.Authenticate(t.Context(), token, verifier.Call{})
	s.afterKey.wantPlayed(t)
	b.want(t, token, verifier.Call{}, keys.CodeRevoked)
}

// TestA17NobodyJoinsAReadOfBefore: while a row is on its way its key is revoked. Who
// comes then must not be content with that row.
func TestA17NobodyJoinsAReadOfBefore(t *testing.T) {
	b := newBench(t)
	s := b.staged(t, 0)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	_, other := b.issue(t, admin.IssueRequest{Name: "other"})
	var later <-chan keys.Code
	s.afterKey.put(func() {
		b.revoked(t, id)
		b.want(t, other, verifier.Call{}, keys.CodeValid) // and makes the look
		later = b.beside(t, token)
	})
	b.v.Authenticate(t.Context(), token, verifier.Call{})
	s.afterKey.wantPlayed(t)
	if got := <-later; got != keys.CodeRevoked {
		t.Errorf("a check that began after the revoke had returned: got %v, want revoked", got)
	}
}

// TestA17EvictedUnderACheck: between a check's look-up of a key and its look at the
// changes the key is evicted, so that it cannot be told to forget.
func TestA17EvictedUnderACheck(t *testing.T) {
	b := newBench(t)
	s := b.staged(t, 1)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	var others []string
	for i := range 20 {
		_, other := b.issue(t, admin.IssueRequest{Name: fmt.Sprint("other ", i)})
		others = append(others, other)
	}
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	if !b.v.Remembers(id) {
		t.Fatal("the key is not remembered, so this test shows nothing")
	}
	s.beforeEpoch.put(func() {
		for _, other := range others {
			b.want(t, other, verifier.Call{}, keys.CodeValid)
		}
		if b.v.Remembers(id) {
			t.Error("the key was not evicted, so this test shows nothing")
		}
		b.revoked(t, id)
	})
	b.want(t, token, verifier.Call{}, keys.CodeRevoked)
	s.beforeEpoch.wantPlayed(t)
	b.want(t, token, verifier.Call{}, keys.CodeRevoked)
}

// TestA17MarkedBeforeDropped: a row that was read before its key was revoked arrives
// while what changed is being dropped, right behind the dropping of its key.
func TestA17MarkedBeforeDropped(t *testing.T) {
	b := newBench(t)
	s := b.staged(t, 0)
	var between scene
	b.v.OnDropped(between.play)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	second, secondToken := b.issue(t, admin.IssueRequest{Name: "second"})
	_, other := b.issue(t, admin.IssueRequest{Name: "other"})
	b.want(t, secondToken, verifier.Call{}, keys.CodeValid)

	read, goOn, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s.afterKey.put(func() { close(read); <-goOn })
	go func() {
		defer close(over)
		b.v.Authenticate(context.WithoutCancel(t.Context()), token, verifier.Call{})
	}()
	<-read
	b.revoke(t, id)
	b.edit(t, second, func(k *keys.Key) { k.Owner = "team-b" })
	s.afterChanges.put(func() {
		between.put(func() { close(goOn); <-over }) // the first was dropped, the second was not yet
	})
	b.want(t, other, verifier.Call{}, keys.CodeValid) // and makes the look
	between.wantPlayed(t)
	b.want(t, token, verifier.Call{}, keys.CodeRevoked)
}

// betweenDrops remembers two keys, changes the first and revokes the second, and has the next look play
// what the test puts on when it has dropped the first and not yet the second. It returns the second
// key, and look, which makes that look.
func (b *bench) betweenDrops(t *testing.T, s *stage, play func()) (id, token string, look func()) {
	t.Helper()
	var between scene
	b.v.OnDropped(between.play)
	first, firstToken := b.issue(t, admin.IssueRequest{Name: "first"})
	id, token = b.issue(t, admin.IssueRequest{Name: "ci"})
	_, other := b.issue(t, admin.IssueRequest{Name: "other"})
	b.want(t, firstToken, verifier.Call{}, keys.CodeValid)
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	b.edit(t, first, func(k *keys.Key) { k.Owner = "team-b" })
	b.revoke(t, id)
	s.afterChanges.put(func() { between.put(play) })
	return id, token, func() {
		t.Helper()
		b.want(t, other, verifier.Call{}, keys.CodeValid)
		between.wantPlayed(t)
	}
}

// TestA17DroppedBeforeTold: while a look drops what changed, no check may assume that
// it is over.
func TestA17DroppedBeforeTold(t *testing.T) {
	b := newBench(t)
	s := b.staged(t, 0)
	impatient, cancel := context.WithCancel(t.Context())
	cancel() // or it would wait for the look that waits for it
	var token string
	_, token, look := b.betweenDrops(t, s, func() {
		if d := b.v.Authenticate(impatient, token, verifier.Call{}); d.Valid() {
			t.Error("a check passed that began after the revoke had returned")
		}
	})
	look()
	b.want(t, token, verifier.Call{}, keys.CodeRevoked)
}

// TestA17EvictedWhileDropped: a check finds a key while a look drops what changed; the key is
// evicted before the look comes to it, so the look cannot empty what the check has found.
func TestA17EvictedWhileDropped(t *testing.T) {
	b := newBench(t)
	s := b.staged(t, 0)
	var id, token string
	var later <-chan keys.Code
	id, token, look := b.betweenDrops(t, s, func() {
		s.beforeEpoch.put(func() { b.v.Evict(id) })
		later = b.beside(t, token)
	})
	look()
	s.beforeEpoch.wantPlayed(t)
	if got := <-later; got != keys.CodeRevoked {
		t.Errorf("a check that began after the revoke had returned: got %v, want revoked", got)
	}
}

// TestA17LookReadBeforeARevoke: a key is revoked when a look has read the changes and
// is not over yet. Neither who waits for that look nor who comes after it may take it
// for one that told of the revocation.
func TestA17LookReadBeforeARevoke(t *testing.T) {
	b := newBench(t)
	s := b.staged(t, 0)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	other, otherToken := b.issue(t, admin.IssueRequest{Name: "other"})
	for _, waits := range []bool{false, true} {
		b.want(t, token, verifier.Call{}, keys.CodeValid)
		b.edit(t, other, func(k *keys.Key) { k.Owner += "b" })
		later := make(<-chan keys.Code)
		s.afterChanges.put(func() {
			b.revoked(t, id)
			if waits {
				later = b.beside(t, token)
			}
		})
		b.want(t, otherToken, verifier.Call{}, keys.CodeValid) // and makes the look
		s.afterChanges.wantPlayed(t)
		if waits {
			if got := <-later; got != keys.CodeRevoked {
				t.Errorf("who waited for the look: got %v, want revoked", got)
			}
		}
		b.want(t, token, verifier.Call{}, keys.CodeRevoked)
		id, token = b.issue(t, admin.IssueRequest{Name: "next"})
	}
}

// TestA18LookOfALeaseAgo: a look reads and then hangs for as long as a lease. Meanwhile
// a row is changed in a way that moves no epoch, as with a database shell. Who comes
// now must not be content with that look: what it read is as old as what is remembered
// may be at the most, and older.
func TestA18LookOfALeaseAgo(t *testing.T) {
	b := newBench(t)
	s := b.staged(t, 0)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	_, other := b.issue(t, admin.IssueRequest{Name: "other"})
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	b.now = b.now.Add(lease)
	var later <-chan keys.Code
	s.afterChanges.put(func() {
		b.sqlShell(t, `UPDATE keys SET scopes = '["*"]' WHERE name = 'ci'`)
		b.now = b.now.Add(lease)
		later = b.beside(t, token)
	})
	b.want(t, other, verifier.Call{}, keys.CodeValid) // and makes the look
	s.afterChanges.wantPlayed(t)
	if got := <-later; got != keys.CodeUnavailable {
		t.Errorf("a check a lease after the look began: got %v, want unavailable, as the row's seal is broken", got)
	}
}

// TestKeyIssuedDuringItsLookUp: a token is looked up in vain, and before that is known
// its key appears and all have heard of it. It must not stay unknown.
func TestKeyIssuedDuringItsLookUp(t *testing.T) {
	b := newBench(t)
	s := b.staged(t, 0)
	_, other := b.issue(t, admin.IssueRequest{Name: "other"})
	token := keys.NewToken(keys.KindKey)
	k := &keys.Key{
		ID: token.ID(), Kind: keys.KindKey, Name: "late", CreatedAt: b.now.UTC(), CreatedBy: "test", Version: 1,
		Secrets: []keys.KeySecret{b.secretOf(1, token)},
	}
	b.store.Peppers().Seal(k)
	s.afterKey.put(func() {
		if err := b.store.Create(context.WithoutCancel(t.Context()), k, b.event(k.ID)); err != nil {
			t.Errorf("Create: %v", err)
		}
		b.want(t, other, verifier.Call{}, keys.CodeValid) // and makes the look
	})
	b.want(t, token.Secret().Reveal(), verifier.Call{}, keys.CodeNotFound)
	s.afterKey.wantPlayed(t)
	b.want(t, token.Secret().Reveal(), verifier.Call{}, keys.CodeValid)
}

// TestRememberedKeysWaitForNoRead: while strangers are being looked up, and however
// long the store takes, a remembered key is answered at once.
func TestRememberedKeysWaitForNoRead(t *testing.T) {
	b := newBench(t)
	s := b.staged(t, 0)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	s.afterKey.put(func() {
		b.want(t, token, verifier.Call{}, keys.CodeValid)
		b.v.WhileReadsAreCounted(func() {
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				b.want(t, token, verifier.Call{}, keys.CodeValid)
			}()
			select {
			case <-answered:
			case <-time.After(10 * time.Second): // for ever, in truth
				t.Error("a remembered key waits for reads of other keys")
			}
		})
	})
	b.want(t, stranger(), verifier.Call{}, keys.CodeNotFound)
	s.afterKey.wantPlayed(t)
}
