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
