package verifier_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// distant is a source on another host that changes its key at a moment that a test chooses.
type distant struct {
	token   keys.Token
	seq     atomic.Int64
	between func(apply func()) // runs after the answer was made, before the verifier has it
}

func (s *distant) Epoch() uint64 { return uint64(s.seq.Load()) }
func (s *distant) Bounds() feed.Bounds {
	return feed.Bounds{Lease: time.Hour, Look: time.Hour, Remote: true}
}
func (s *distant) Now(t time.Time) time.Time          { return t }
func (s *distant) Applied(feed.Position)              {}
func (s *distant) Open() error                        { return nil }
func (s *distant) Close() error                       { return nil }
func (s *distant) Wait(ctx context.Context, _ uint64) { <-ctx.Done() }

func (s *distant) Changes(_ context.Context, since feed.Position) (feed.Changes, error) {
	c := feed.Changes{Next: feed.Position{Seq: s.seq.Load() + 1}}
	if since.Seq != 0 && since.Seq != c.Next.Seq {
		c.IDs = []string{s.token.ID()}
	}
	return c, nil
}

func (s *distant) key() *keys.Key {
	k := &keys.Key{ID: s.token.ID(), Kind: keys.KindKey, Scopes: []string{"*"}, Version: 1 + s.seq.Load(), Secrets: []keys.KeySecret{{Number: 1}}}
	if s.seq.Load() > 0 {
		k.RevokedAt = time.Unix(1, 0)
	}
	return k
}

func (s *distant) Key(context.Context, string) (*keys.Key, error) { return s.key(), nil }

func (s *distant) Prove(context.Context, *verifier.Question) (verifier.Proof, error) {
	p := verifier.Proof{Key: s.key(), Secret: 1}
	if s.between != nil {
		s.between(func() { s.seq.Add(1) })
	}
	return p, nil
}

func (s *distant) AddUse(context.Context, []usage.Use) error        { return nil }
func (s *distant) AddDenials(context.Context, []usage.Denial) error { return nil }

// A17. An answer that was made before a change, and comes after the verifier has dropped the
// key, is not remembered.
func TestA17LateProofIsNotRemembered(t *testing.T) {
	s := &distant{token: keys.NewToken(keys.KindKey)}
	v, err := verifier.New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	other := keys.NewToken(keys.KindKey).Secret().Reveal()
	s.between = func(apply func()) {
		s.between = nil
		apply()
		v.Authenticate(t.Context(), other, verifier.Call{}) // looks, and drops the key
	}
	v.Authenticate(t.Context(), s.token.Secret().Reveal(), verifier.Call{}) // began before the change
	if d := v.Authenticate(t.Context(), s.token.Secret().Reveal(), verifier.Call{}); d.Code != keys.CodeRevoked {
		t.Errorf("got %s, want revoked: the answer from before the change was remembered", d.Code)
	}
}

// hearing is a source that hears of its change without asking, and whose answers then fail.
type hearing struct {
	distant
	heard atomic.Bool // it tells of the change, once
	fails atomic.Bool
}

func (s *hearing) Changes(ctx context.Context, since feed.Position) (feed.Changes, error) {
	if s.heard.CompareAndSwap(true, false) {
		return feed.Changes{IDs: []string{s.token.ID()}, Next: feed.Position{Seq: since.Seq + 1}, More: true}, nil
	}
	if s.fails.Load() {
		return feed.Changes{}, keys.ErrUnavailable
	}
	return s.distant.Changes(ctx, since)
}

// What a source heard of is dropped, and extends no lease.
func TestHearsayExtendsNoLease(t *testing.T) {
	s := &hearing{distant: distant{token: keys.NewToken(keys.KindKey)}}
	var later atomic.Int64
	v, err := verifier.New(s, &verifier.Options{Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	var asked atomic.Int64
	s.between = func(func()) { asked.Add(1) }
	check := func() keys.Decision {
		return v.Authenticate(t.Context(), s.token.Secret().Reveal(), verifier.Call{})
	}
	for range 2 {
		if d := check(); !d.Valid() {
			t.Fatalf("got %+v", d)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Fatalf("asked %d times, want once", n)
	}
	s.fails.Store(true)
	s.heard.Store(true)
	s.seq.Add(1) // the epoch moves, and the key is revoked
	if d := check(); d.Code != keys.CodeRevoked {
		t.Errorf("got %s, want revoked", d.Code)
	}
	later.Store(int64(time.Hour)) // the lease of before has ended
	s.heard.Store(true)
	n := asked.Load()
	for range 3 {
		check()
	}
	if got := asked.Load() - n; got != 3 {
		t.Errorf("asked %d times in 3 checks without a lease, want 3", got)
	}
}
