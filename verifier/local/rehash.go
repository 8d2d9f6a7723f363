package local

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/verifier/internal/flush"
)

const (
	// maxRehashes is how many digests may wait to be renewed. Beyond that they are
	// dropped: the key's next proof, after it left the cache, offers its own again.
	maxRehashes = 1024
	// restAfterFailure is for how long nothing is tried after a failure. A store that this
	// process cannot write now will seldom be writable in a second.
	restAfterFailure = time.Minute
)

// rehashes renews, in the background and one at a time, the digests of secrets that were
// proved and are kept in an old way. No request waits for it, and none depends on it.
type rehashes struct {
	store   pepper.Rehasher
	clock   func() time.Time
	onError func(error) // may be nil
	flusher flush.Flusher
	failed  bool // the last write failed; only write and report use it and wrote
	wrote   bool // the last write renewed a digest

	mu      sync.Mutex // guards what follows
	waiting []*pepper.Rehash
	queued  map[rehashed]bool // also the one under way
	closed  bool
}

func newRehashes(store pepper.Rehasher, clock func() time.Time, onError func(error)) *rehashes {
	start := clock()
	elapsed := func() time.Duration { return clock().Sub(start) }
	q := &rehashes{store: store, clock: clock, onError: onError}
	q.flusher = flush.Flusher{Write: q.write, Rest: restAfterFailure, Elapsed: elapsed, After: q.report}
	return q
}

type rehashed struct {
	keyID  string
	secret int64
}

func idOf(r *pepper.Rehash) rehashed { return rehashed{r.KeyID(), r.Secret()} }

// offer queues job, unless it is nil, there already, or too much.
func (q *rehashes) offer(job *pepper.Rehash) {
	if job == nil || q.flusher.Resting() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.waiting) >= maxRehashes {
		return
	}
	if q.queued[idOf(job)] { // it may have waited during a rest that has ended
		q.flusher.Within(0)
		return
	}
	if q.queued == nil {
		q.queued = map[rehashed]bool{}
	}
	q.queued[idOf(job)] = true
	q.waiting = append(q.waiting, job)
	q.flusher.Within(0)
}

// write renews what waits, until one fails. Then what waits is dropped too: its keys'
// next proofs offer it again.
func (q *rehashes) write() (err error) {
	q.wrote = false
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: writing failed: %v", keys.ErrUnavailable, p)
		}
		if err != nil {
			q.drop()
		}
	}()
	for job := q.next(); job != nil; job = q.next() {
		if err := q.store.Rehash(context.Background(), job, q.clock()); err != nil {
			return err
		}
		q.wrote = true
		q.done(job)
	}
	return nil
}

func (q *rehashes) next() *pepper.Rehash {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil
	}
	job := q.waiting[0]
	q.waiting = q.waiting[1:]
	return job
}

func (q *rehashes) done(job *pepper.Rehash) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.queued, idOf(job))
}

func (q *rehashes) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting, q.queued = nil, nil
}

// report reports a failure unless the write before failed too. Writes with nothing to write
// do not count.
func (q *rehashes) report(err error) {
	news := err != nil && !q.failed
	if err != nil || q.wrote {
		q.failed = err != nil
	}
	if news && q.onError != nil {
		q.onError(fmt.Errorf("move secrets to the current pepper: %w", err))
	}
}

// close drops what waits and waits for what is under way.
func (q *rehashes) close() {
	q.mu.Lock()
	q.closed, q.waiting = true, nil
	q.mu.Unlock()
	_ = q.flusher.Close() // nothing waits
}
