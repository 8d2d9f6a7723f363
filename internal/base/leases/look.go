package leases

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// look is one reading of the feed. It notes the epoch before it reads, so a change that moves
// the epoch later is not covered by it.
type look struct {
	began time.Duration
	epoch uint64
	over  chan struct{} // closed when what stands here is complete
	err   error
}

// lookTime is how long a caller waits for a look. No lease lasts longer.
const lookTime = feed.Lease

// covers reports whether a caller that came at the moment at, and read that epoch, may rely on
// l.
func (r *Registry) covers(l *look, epoch uint64, at time.Duration) bool {
	return l != nil && l.epoch >= epoch && at-l.began < r.bounds.Look
}

// fresh returns when r has seen every change that was acknowledged before the call.
func (r *Registry) fresh(ctx context.Context) error {
	epoch, at := r.feed.Epoch(), r.elapsed()
	r.mu.Lock()
	seen := r.covers(r.last, epoch, at)
	r.mu.Unlock()
	if seen {
		return nil
	}
	return r.look(ctx, func(l *look) bool { return r.covers(l, epoch, at) })
}

// look waits for a look that is enough, or makes one.
func (r *Registry) look(ctx context.Context, enough func(*look) bool) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	for {
		l, mine := r.join() //nolint:contextcheck // a look is for all that wait
		select {
		case <-l.over:
		case <-ctx.Done():
			return fmt.Errorf("%w: the key store did not answer in time", keys.ErrUnavailable)
		}
		if mine || enough(l) { // a look that began after the call is enough
			return l.err
		}
	}
}

// join returns the look under way, or begins one.
func (r *Registry) join() (l *look, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.looking != nil {
		return r.looking, false
	}
	l = &look{over: make(chan struct{})}
	if r.closed {
		l.err = ErrClosed
		close(l.over)
		return l, true
	}
	r.looking = l
	r.running.Go(func() { r.run(l) })
	return l, true
}

// run is one look. Only a look uses r.next and r.adrift.
func (r *Registry) run(l *look) {
	l.began, l.epoch = r.elapsed(), r.feed.Epoch()
	changes, err := r.changes()
	if err == nil && changes.Next.Word == 0 {
		err = errNoPositions
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer close(l.over)
	r.looking, r.tried, l.err = nil, l.began, err
	switch {
	case err == nil:
		changes.Lost = changes.Lost || r.adrift
		r.next, r.adrift = changes.Next, false
		r.takeIn(changes)
		r.last = l
	case endsTrust(err):
		r.last, r.next, r.adrift = nil, feed.Position{}, true
	}
}

var errNoPositions = fmt.Errorf("%w: this key store does not number its changes", keys.ErrUnavailable)

// changes reads the feed. A feed that panics must not end the program.
func (r *Registry) changes() (c feed.Changes, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: reading changes failed: %v", keys.ErrUnavailable, p)
		}
	}()
	return r.feed.Changes(context.Background(), r.next)
}

// endsTrust reports whether the store was changed outside mcpkeys, or is not the one that
// other processes use. Its positions then mean nothing.
func endsTrust(err error) bool {
	var altered *feed.AlteredError
	var misplaced *feed.MisplacedError
	return errors.As(err, &altered) || errors.As(err, &misplaced)
}

// takeIn notes what a look found. It is called with r.mu.
func (r *Registry) takeIn(c feed.Changes) {
	at, was := protocol.Position(c.Next.Word), Place{r.era, r.position}
	switch {
	case r.position == 0:
		r.history.reset(at)
	case c.Lost, at < r.position, at.Generation() != r.position.Generation():
		r.history.reset(at)
		r.distrust()
	default:
		r.history.add(at, c.IDs)
	}
	r.imported = c.Imported
	if r.position = at; was != (Place{r.era, at}) {
		close(r.moved)
		r.moved = make(chan struct{})
	}
}
