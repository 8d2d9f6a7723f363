package verifier

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

const (
	// maxRehashes is how many digests may wait to be renewed. Beyond that they are
	// dropped: the key's next proof, after it was forgotten, offers its own again.
	maxRehashes = 1024
	// restAfterFailure is for how long nothing is tried after a failure. A store that is
	// not writable for this process will not be in a second.
	restAfterFailure = time.Minute
)

// rehashes renews, in the background and one at a time, the digests of secrets that were
// proved and are kept in an old way. No request waits for it, and none depends on it. A
// goroutine runs while there is something to do.
type rehashes struct {
	store   keys.Rehasher // nil: the reader cannot
	clock   func() time.Time
	elapsed func() time.Duration // monotonic
	onError func(error)          // nil: nobody wants to know

	mu      sync.Mutex // guards what follows
	waiting []*keys.Rehash
	queued  map[rehashed]bool // also the one under way
	running bool
	resting bool
	until   time.Duration // the end of the rest
	told    bool          // of the failure
	closed  bool
	ended   sync.WaitGroup
}

type rehashed struct {
	keyID  string
	secret int64
}

func idOf(r *keys.Rehash) rehashed { return rehashed{r.KeyID(), r.Secret()} }

// offer queues job, unless it is nil, there already, or too much.
func (q *rehashes) offer(job *keys.Rehash) {
	if job == nil || q.store == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.resting = q.resting && q.elapsed() < q.until
	if q.closed || q.resting || len(q.waiting) >= maxRehashes || q.queued[idOf(job)] {
		return
	}
	if q.queued == nil {
		q.queued = map[rehashed]bool{}
	}
	q.queued[idOf(job)] = true
	q.waiting = append(q.waiting, job)
	if !q.running {
		q.running = true
		q.ended.Go(q.run)
	}
}

func (q *rehashes) run() {
	for {
		job := q.next()
		if job == nil {
			return
		}
		err := q.do(job)
		if q.settle(job, err) && q.onError != nil {
			q.onError(fmt.Errorf("keep secrets with the current pepper: %w", err))
		}
	}
}

func (q *rehashes) next() *keys.Rehash {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.running = false
		return nil
	}
	job := q.waiting[0]
	q.waiting = q.waiting[1:]
	return job
}

// do must not take the program with it when a store panics.
func (q *rehashes) do(job *keys.Rehash) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: writing broke off: %v", keys.ErrUnavailable, p)
		}
	}()
	return q.store.Rehash(context.Background(), job, q.clock())
}

// settle reports whether a failure is news.
func (q *rehashes) settle(job *keys.Rehash, err error) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.queued, idOf(job))
	if err == nil {
		q.told = false
		return false
	}
	q.waiting, q.queued = nil, nil
	q.resting, q.until = true, q.elapsed()+restAfterFailure
	news := !q.told && !q.closed
	q.told = true
	return news
}

// close drops what waits and waits for what is under way.
func (q *rehashes) close() {
	q.mu.Lock()
	q.closed, q.waiting = true, nil
	q.mu.Unlock()
	q.ended.Wait()
}
