package local

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

// stalled renews nothing until it is let go, and counts.
type stalled struct {
	letGo         chan struct{}
	at, most, all atomic.Int64
	seen          sync.Map
	twice         atomic.Bool
}

func (s *stalled) Rehash(_ context.Context, r *pepper.Rehash, _ time.Time) error {
	if _, again := s.seen.LoadOrStore(idOf(r), true); again {
		s.twice.Store(true)
	}
	s.most.Store(max(s.most.Load(), s.at.Add(1)))
	<-s.letGo
	s.at.Add(-1)
	s.all.Add(1)
	return nil
}

// A22. The attack, or a busy Monday after a pepper was added: more secrets are proved
// than the disk takes. What waits is bounded, one is written at a time, and a secret
// that waits already does not wait twice.
func TestA22RehashesAreBounded(t *testing.T) {
	old, err := pepper.Generate()
	if err != nil {
		t.Fatal(err)
	}
	peppers, _, err := old.Add()
	if err != nil {
		t.Fatal(err)
	}
	s := &stalled{letGo: make(chan struct{})}
	q := newRehashes(s, time.Now, nil)
	for range 3 * maxRehashes {
		token := keys.NewToken(keys.KindKey)
		k := &keys.Key{ID: token.ID(), Secrets: []keys.KeySecret{{Number: 1, Scheme: keys.SchemeHMAC, PepperID: old.Current()}}}
		job := peppers.Rehash(k, &k.Secrets[0], token.Secret())
		q.offer(job)
		q.offer(job)
	}
	q.mu.Lock()
	waiting, queued := len(q.waiting), len(q.queued)
	q.mu.Unlock()
	if waiting > maxRehashes || queued > maxRehashes+1 || waiting < maxRehashes-1 {
		t.Errorf("got %d waiting, %d noted, want %d", waiting, queued, maxRehashes)
	}
	close(s.letGo)
	for idle := false; !idle; runtime.Gosched() {
		q.mu.Lock()
		idle = len(q.queued) == 0
		q.mu.Unlock()
	}
	q.close()
	if s.twice.Load() {
		t.Error("a secret that was waiting waited twice")
	}
	if all, most := s.all.Load(), s.most.Load(); all > maxRehashes+1 || all < maxRehashes || most != 1 || len(q.queued) != 0 {
		t.Errorf("got %d written, %d at once, %d still noted; want about %d, 1, 0", all, most, len(q.queued), maxRehashes)
	}
	q.offer(peppers.Rehash(&keys.Key{ID: "x"}, &keys.KeySecret{Scheme: keys.SchemeHMAC, PepperID: old.Current()}, keys.NewSecret("t")))
	if len(q.waiting) != 0 {
		t.Error("something waits to be written after close")
	}
}

// broken fails while err is set, and counts.
type broken struct {
	err   error
	calls int
}

func (b *broken) Rehash(context.Context, *pepper.Rehash, time.Time) error {
	b.calls++
	return b.err
}

// After a failure nothing is tried for a minute, and it is told once until it worked
// again: a disk that cannot be written to is not tried, and logged, with every request.
func TestRehashRestsAfterFailure(t *testing.T) {
	old, err := pepper.Generate()
	if err != nil {
		t.Fatal(err)
	}
	peppers, _, err := old.Add()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		began, told, b := time.Now(), 0, &broken{}
		failure := errors.New("read-only")
		q := newRehashes(b, time.Now, func(error) { told++ })
		for i, step := range []struct {
			at          time.Duration
			err         error
			calls, told int
		}{
			{0, failure, 1, 1},
			{restAfterFailure - 1, failure, 1, 1},
			{restAfterFailure, failure, 2, 1},
			{2*restAfterFailure - 1, nil, 2, 1},
			{2 * restAfterFailure, nil, 3, 1},
			{2 * restAfterFailure, failure, 4, 2},
		} {
			time.Sleep(step.at - time.Since(began))
			b.err = step.err
			token := keys.NewToken(keys.KindKey)
			k := &keys.Key{ID: token.ID()}
			q.offer(peppers.Rehash(k, &keys.KeySecret{Number: 1, Scheme: keys.SchemeHMAC, PepperID: old.Current()}, token.Secret()))
			synctest.Wait()
			if b.calls != step.calls || told != step.told {
				t.Errorf("step %d: got %d calls, told %d times, want %d and %d", i, b.calls, told, step.calls, step.told)
			}
		}
		q.close()
	})
}
