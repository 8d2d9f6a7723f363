package verifier_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// stage is the real store, on which a test puts what happens at one moment of a call,
// so that an order of events that needs bad luck comes about every time.
type stage struct {
	local.Store
	beforeEpoch  scene // the caller has not learned the number yet
	afterKey     scene // a row was read, and its reader has not heard of it yet
	afterChanges scene // so were the changes
}

// scene is played once, by the first caller after it was put on, in its goroutine.
type scene struct{ next atomic.Pointer[func()] }

func (s *scene) put(play func()) { s.next.Store(&play) }

func (s *scene) play() {
	if play := s.next.Swap(nil); play != nil {
		(*play)()
	}
}

// wantPlayed fails when a test shows nothing because its scene was never played.
func (s *scene) wantPlayed(t *testing.T) {
	t.Helper()
	if s.next.Load() != nil {
		t.Fatal("the moment never came, so this test shows nothing")
	}
}

func (s *stage) Epoch() uint64 {
	s.beforeEpoch.play()
	return s.Store.Epoch()
}

func (s *stage) Key(ctx context.Context, id string) (*keys.Key, error) {
	k, err := s.Store.Key(ctx, id)
	s.afterKey.play()
	return k, err
}

func (s *stage) Changes(ctx context.Context, since feed.Position) (feed.Changes, error) {
	c, err := s.Store.Changes(ctx, since)
	s.afterChanges.play()
	return c, err
}

// staged puts a stage between the bench's store and its verifier, which remembers n
// keys.
func (b *bench) staged(t *testing.T, n int) *stage {
	t.Helper()
	s := &stage{Store: b.reader}
	v, err := verifier.New(b.source(s), &verifier.Options{Keys: n, Now: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	b.v = v
	return s
}

// revoked revokes the key from within a scene, which may have any goroutine.
func (b *bench) revoked(t *testing.T, id string) {
	t.Helper()
	if _, err := b.manager.Revoke(context.WithoutCancel(t.Context()), id, "test"); err != nil {
		t.Errorf("Revoke: %v", err)
	}
}

// another is a check that runs beside the one on stage.
type another struct {
	context.Context
	waits  chan struct{} // closed when it waits for another check, or may
	closed atomic.Bool
	answer chan keys.Code
}

func (a *another) Done() <-chan struct{} {
	if !a.closed.Swap(true) {
		close(a.waits)
	}
	return a.Context.Done()
}

// beside starts a check and returns when it has been answered, or waits. Its answer
// comes out of the channel.
func (b *bench) beside(t *testing.T, token string) <-chan keys.Code {
	a := &another{Context: context.WithoutCancel(t.Context()), waits: make(chan struct{}), answer: make(chan keys.Code, 1)}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		a.answer <- b.v.Authenticate(a, token, verifier.Call{}).Code
	}()
	select {
	case <-answered:
	case <-a.waits:
	}
	return a.answer
}
