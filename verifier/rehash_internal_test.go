package verifier

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// stalled renews nothing until it is let go, and counts.
type stalled struct {
	letGo         chan struct{}
	at, most, all atomic.Int64
	seen          sync.Map
	twice         atomic.Bool
}

func (s *stalled) Rehash(_ context.Context, r *keys.Rehash, _ time.Time) error {
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
	old, err := keys.GeneratePeppers()
	if err != nil {
		t.Fatal(err)
	}
	peppers, _, err := old.Add()
	if err != nil {
		t.Fatal(err)
	}
	s := &stalled{letGo: make(chan struct{})}
	q := &rehashes{store: s, clock: time.Now, elapsed: func() time.Duration { return 0 }}
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
	q.untilIdle()
	q.close()
	if s.twice.Load() {
		t.Error("a secret that was waiting waited twice")
	}
	if all, most := s.all.Load(), s.most.Load(); all > maxRehashes+1 || all < maxRehashes || most != 1 || len(q.queued) != 0 {
		t.Errorf("got %d written, %d at once, %d still noted; want about %d, 1, 0", all, most, len(q.queued), maxRehashes)
	}
	q.offer(peppers.Rehash(&keys.Key{ID: "x"}, &keys.KeySecret{Scheme: keys.SchemeHMAC, PepperID: old.Current()}, keys.NewSecret("t")))
	if q.running {
		t.Error("something is written after close")
	}
}

func (q *rehashes) untilIdle() {
	for over := false; !over; runtime.Gosched() {
		q.mu.Lock()
		over = !q.running
		q.mu.Unlock()
	}
}

// broken fails while err is set, and counts.
type broken struct {
	err   error
	calls int
}

func (b *broken) Rehash(context.Context, *keys.Rehash, time.Time) error {
	b.calls++
	return b.err
}

// After a failure nothing is tried for a minute, and it is told once until it worked
// again: a disk that cannot be written to is not tried, and logged, with every request.
func TestRehashRestsAfterFailure(t *testing.T) {
	old, err := keys.GeneratePeppers()
	if err != nil {
		t.Fatal(err)
	}
	peppers, _, err := old.Add()
	if err != nil {
		t.Fatal(err)
	}
	now, told, b := time.Duration(0), 0, &broken{err: errors.New("read-only")}
	q := &rehashes{store: b, clock: time.Now, elapsed: func() time.Duration { return now }, onError: func(error) { told++ }}
	for i, step := range []struct {
		at          time.Duration
		err         error
		calls, told int
	}{
		{0, b.err, 1, 1},
		{restAfterFailure - 1, b.err, 1, 1},
		{restAfterFailure, b.err, 2, 1},
		{2*restAfterFailure - 1, nil, 2, 1},
		{2 * restAfterFailure, nil, 3, 1},
		{2 * restAfterFailure, b.err, 4, 2},
	} {
		now, b.err = step.at, step.err
		token := keys.NewToken(keys.KindKey)
		k := &keys.Key{ID: token.ID()}
		q.offer(peppers.Rehash(k, &keys.KeySecret{Number: 1, Scheme: keys.SchemeHMAC, PepperID: old.Current()}, token.Secret()))
		q.untilIdle()
		if b.calls != step.calls || told != step.told {
			t.Errorf("step %d: got %d calls, told %d times, want %d and %d", i, b.calls, told, step.calls, step.told)
		}
	}
}
