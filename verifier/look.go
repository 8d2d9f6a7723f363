package verifier

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// pollEvery is how long the verifier trusts the epoch alone. After that it looks at
// the store also when the epoch stands still: a database shell moves no epoch, and a
// process may die between its commit and its word.
const pollEvery = 250 * time.Millisecond

// watch follows the store's feed. It answers one question, at the start of each
// check: is what is remembered still good?
//
// A look is one reading of the feed. It notes the epoch before it reads, so whatever
// moves the epoch later is not covered by it. A check that found the epoch at n may
// wait for a look under way only if that look noted at least n; otherwise the change
// that moved the epoch to n may have been committed after the look's reading, and
// the check waits for the next look.
type watch struct {
	feed   keys.Feed
	forget func(keys.Changes) // drops what changed, before anybody is told

	seen   atomic.Uint64 // the epoch that the last good look noted
	looked atomic.Int64  // when it began, nanoseconds on the monotonic clock
	began  atomic.Bool   // whether there was one at all

	mu      sync.Mutex
	current *look
	next    keys.Position // where the next look goes on; only a look touches it
}

type look struct {
	noted uint64
	done  chan struct{}
	err   error
}

// fresh returns when everything that was acknowledged before the call is forgotten, and
// the epoch that it found: what is read from now on is at least that new. clock is
// read for a look's beginning.
func (w *watch) fresh(at time.Duration, clock func() time.Duration) (epoch uint64, err error) {
	epoch = w.feed.Epoch()
	age := at - time.Duration(w.looked.Load())
	unmoved := w.began.Load() && epoch == w.seen.Load()
	if unmoved && age < pollEvery {
		return epoch, nil
	}
	err = w.look(epoch, clock)
	if unmoved && age < keys.Lease {
		return epoch, nil // if the store cannot be read: nothing was announced, and the lease holds
	}
	return epoch, err
}

// look waits for a look that noted at least epoch, or makes one.
func (w *watch) look(epoch uint64, clock func() time.Duration) error {
	for {
		w.mu.Lock()
		l := w.current
		if l == nil {
			l = &look{done: make(chan struct{})}
			w.current = l
			w.mu.Unlock()
			w.take(l, clock)
			return l.err // it began after the call, so it noted what the call did or more
		}
		w.mu.Unlock()
		<-l.done
		if l.noted >= epoch {
			return l.err
		}
	}
}

// take is one look. It owns next while it is current.
func (w *watch) take(l *look, clock func() time.Duration) {
	began := clock()
	l.noted = w.feed.Epoch()
	changes, err := w.feed.Changes(context.Background(), w.next)
	if l.err = err; err == nil {
		w.forget(changes)
		w.next = changes.Next
		w.looked.Store(int64(began))
		w.seen.Store(l.noted)
		w.began.Store(true)
	}
	w.mu.Lock()
	w.current = nil
	w.mu.Unlock()
	close(l.done)
}
