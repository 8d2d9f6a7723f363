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

// elsewhere is a source on another host that changes its key at a moment that a test chooses.
type elsewhere struct {
	token   keys.Token
	seq     atomic.Int64
	between func(apply func()) // runs after the answer was made, before the verifier has it
}

func (s *elsewhere) Epoch() uint64 { return uint64(s.seq.Load()) } //nolint:gosec // it counts up
func (s *elsewhere) Bounds() feed.Bounds {
	return feed.Bounds{Lease: time.Hour, Look: time.Hour, Remote: true}
}
func (s *elsewhere) Now(t time.Time) time.Time          { return t }
func (s *elsewhere) Applied(feed.Position)              {}
func (s *elsewhere) Open() error                        { return nil }
func (s *elsewhere) Close() error                       { return nil }
func (s *elsewhere) Wait(ctx context.Context, _ uint64) { <-ctx.Done() }

func (s *elsewhere) Changes(_ context.Context, since feed.Position) (feed.Changes, error) {
	c := feed.Changes{Next: feed.Position{Seq: s.seq.Load() + 1}}
	if since.Seq != 0 && since.Seq != c.Next.Seq {
		c.IDs = []string{s.token.ID()}
	}
	return c, nil
}

func (s *elsewhere) key() *keys.Key {
	k := &keys.Key{ID: s.token.ID(), Kind: keys.KindKey, Scopes: []string{"*"}, Version: 1 + s.seq.Load(), Secrets: []keys.KeySecret{{Number: 1}}}
	if s.seq.Load() > 0 {
		k.RevokedAt = time.Unix(1, 0)
	}
	return k
}

func (s *elsewhere) Key(context.Context, string) (*keys.Key, error) { return s.key(), nil }

func (s *elsewhere) Prove(context.Context, *verifier.Question) (verifier.Proof, error) {
	p := verifier.Proof{Key: s.key(), Secret: 1}
	if s.between != nil {
		s.between(func() { s.seq.Add(1) })
	}
	return p, nil
}

func (s *elsewhere) AddUse(context.Context, []usage.Use) error        { return nil }
func (s *elsewhere) AddDenials(context.Context, []usage.Denial) error { return nil }

// A17. An answer that was made before a change, and comes after the verifier has dropped the
// key, is not remembered.
func TestA17LateProofIsNotRemembered(t *testing.T) {
	s := &elsewhere{token: keys.NewToken(keys.KindKey)}
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
