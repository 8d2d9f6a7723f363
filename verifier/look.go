package verifier

import (
	"context"
	"errors"
	"fmt"
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
// the check waits for the next look. Nor is a look of use that began a lease ago:
// while it hung, the epoch itself may have been replaced.
//
// Package internal/model tries every order of events, and shows what each of these
// rules is for.
type watch struct {
	feed   keys.Feed
	clock  func() time.Duration // monotonic
	forget func(keys.Changes)   // drops what changed, before anybody is told

	last atomic.Pointer[look] // that came through

	mu      sync.Mutex
	current *look
	next    keys.Position // where the next look goes on; only a look touches it
	adrift  bool          // a look ended the lease, and none came through since; as next
}

type look struct {
	began time.Duration
	noted uint64
	done  chan struct{}
	err   error
}

// covers reports whether the look is of use to a check that began at the moment at
// and found the epoch.
func (l *look) covers(epoch uint64, at time.Duration) bool {
	return l.noted >= epoch && at-l.began < keys.Lease
}

// fresh returns when everything that was acknowledged before the moment at is
// forgotten. Whoever fails to make sure of that gets the reason.
func (w *watch) fresh(ctx context.Context, at time.Duration) error {
	epoch := w.feed.Epoch()
	last := w.last.Load()
	if last == nil || last.noted != epoch {
		return w.look(ctx, epoch, at)
	}
	switch age := at - last.began; {
	case age < pollEvery:
		return nil
	case age < keys.Lease: // nothing was announced: the lease holds, unless a look ends it
		return w.glance(ctx)
	}
	return w.look(ctx, epoch, at)
}

// glance looks unless another check does. That the store cannot be read is no reason yet
// to refuse a request; a look that ends the lease is.
func (w *watch) glance(ctx context.Context) error {
	l, mine := w.join()
	if !mine {
		return nil
	}
	go w.take(l)
	select {
	case <-l.done:
		if endsLease(l.err) {
			return l.err
		}
	case <-ctx.Done():
	}
	return nil
}

// endsLease reports whether a look found that the store is not as mcpkeys left it, or that
// others use another one. A revocation may never reach this process then, so what was read
// before is not used any more.
func endsLease(err error) bool {
	var altered *keys.AlteredError
	var misplaced *keys.MisplacedError
	return errors.As(err, &altered) || errors.As(err, &misplaced)
}

// look waits for a look that covers epoch and at, or makes one.
func (w *watch) look(ctx context.Context, epoch uint64, at time.Duration) error {
	for {
		l, mine := w.join()
		if mine {
			go w.take(l)
		}
		select {
		case <-l.done:
		case <-ctx.Done():
			return fmt.Errorf("%w: waiting for the store: %w", keys.ErrUnavailable, context.Cause(ctx))
		}
		if mine || l.covers(epoch, at) { // what began after the call covers it
			return l.err
		}
	}
}

// join returns the look under way, or a new one that the caller must take.
func (w *watch) join() (l *look, mine bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current != nil {
		return w.current, false
	}
	w.current = &look{done: make(chan struct{}), err: errUnread}
	return w.current, true
}

// take is one look. It owns next while it is current. It has a goroutine of its own,
// because others may wait for it longer than whoever began it; a store that panics
// there must not take the program with it.
func (w *watch) take(l *look) {
	defer w.end(l)
	defer func() {
		if p := recover(); p != nil {
			l.err = fmt.Errorf("%w: %v", errUnread, p)
		}
	}()
	l.began = w.clock()
	l.noted = w.feed.Epoch()
	changes, err := w.feed.Changes(context.Background(), w.next)
	if l.err = err; err != nil {
		if endsLease(err) {
			w.last.Store(nil)
			w.cast()
		}
		return
	}
	changes.Lost = changes.Lost || w.adrift
	w.forget(changes)
	w.next, w.adrift = changes.Next, false
	w.last.Store(l)
}

// cast forgets everything, and the position too, because the store that comes back may be
// another one, or the same in an older state: what happened since cannot be told by
// numbers. A check that began before may still read something and have it remembered; the
// look that comes through forgets that.
func (w *watch) cast() {
	if w.adrift {
		return
	}
	w.adrift, w.next = true, keys.Position{}
	w.forget(keys.Changes{Lost: true, Imported: true}) // as far as is known
}

func (w *watch) end(l *look) {
	w.mu.Lock()
	w.current = nil
	w.mu.Unlock()
	close(l.done)
}
