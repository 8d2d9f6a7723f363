package verifier

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/verifier/internal/flight"
)

// watch follows the source's feed. At the start of each check it decides whether remembered
// keys may still be used.
//
// A look is one reading of the feed. It notes the epoch before it reads, so whatever
// moves the epoch later is not covered by it. A check that found the epoch at n may
// wait for a look under way only if that look noted at least n; otherwise the change
// that moved the epoch to n may have been committed after the look's reading, and
// the check waits for the next look. A look that began a lease ago does not count either:
// while it hung, the epoch itself may have been replaced.
//
// Package internal/model tries every order of events, and shows what each of these
// rules is for.
type watch struct {
	source Source
	bounds feed.Bounds
	clock  func() moment
	forget func(feed.Changes) // drops what changed, before holds hear of it

	last   atomic.Pointer[look] // the last successful one
	looks  flight.Group[struct{}, moment]
	next   feed.Position // where the next look continues; only a look uses it
	adrift bool          // a look ended the lease, and none has succeeded since; only a look uses it
}

// look is one reading of the feed; its result is when it began.
type look = flight.Flight[moment]

// covers reports whether a check that began at that moment, and read that epoch, may rely on
// the look.
func (w *watch) covers(l *look, epoch uint64, now moment) bool {
	return l.Covers(epoch) && now.at-l.Result.at < w.bounds.Lease && !w.slept(l, now)
}

// slept reports whether the lease of a remote source ended by the wall clock: the monotonic
// clock stands still while a computer sleeps. A wall clock that was set back tells nothing, so
// it ends the lease too. A check that began before the look is covered by it.
func (w *watch) slept(l *look, now moment) bool {
	if !w.bounds.Remote || now.at < l.Result.at {
		return false
	}
	advance := now.wall - l.Result.wall
	return advance < 0 || advance >= int64(w.bounds.Lease)
}

// fresh returns when every change that was acknowledged before that moment has been
// dropped from the cache. On failure it returns why.
func (w *watch) fresh(ctx context.Context, now moment) error {
	if w.strict() {
		return errStrict
	}
	epoch := w.source.Epoch()
	last := w.last.Load()
	if last == nil || last.Noted != epoch || w.slept(last, now) {
		return w.look(ctx, epoch, now)
	}
	switch age := now.at - last.Result.at; {
	case age < w.bounds.Look:
		return nil
	case age < w.bounds.Lease: // nothing was announced: the lease holds, unless a look ends it
		return w.glance(ctx)
	}
	return w.look(ctx, epoch, now)
}

// strict reports whether the source is remote and grants no leases: each check asks it.
func (w *watch) strict() bool { return w.bounds.Remote && w.bounds.Lease == 0 }

var errStrict = fmt.Errorf("%w: the source grants no leases", keys.ErrUnavailable)

// renew looks, whatever is known. The error of a look matters only when the lease has ended.
func (w *watch) renew(ctx context.Context) error {
	now := w.clock()
	l, mine := w.looks.Join(struct{}{})
	if mine {
		go w.run(l)
	}
	if err := l.Wait(ctx); err != nil {
		return err
	}
	if last := w.last.Load(); last != nil && w.covers(last, last.Noted, now) {
		return nil
	}
	return l.Err
}

// noted is the epoch that the last look noted; zero when there was none.
func (w *watch) noted() uint64 {
	if last := w.last.Load(); last != nil {
		return last.Noted
	}
	return 0
}

// untilLook is when to look although the epoch stands still.
func (w *watch) untilLook() time.Duration {
	if last := w.last.Load(); last != nil {
		return w.bounds.Look - (w.clock().at - last.Result.at)
	}
	return 0
}

// glance looks unless another check does. A store that cannot be read is not yet a reason to
// refuse a request; a look that ends the lease is.
func (w *watch) glance(ctx context.Context) error {
	l, mine := w.looks.Join(struct{}{})
	if !mine {
		return nil
	}
	go w.run(l)
	if l.Wait(ctx) == nil && endsLease(l.Err) {
		return l.Err
	}
	return nil
}

// endsLease reports whether a look found that the store was changed outside mcpkeys, or that
// other processes use another one. A revocation may then never reach this process, so it
// stops using remembered keys.
func endsLease(err error) bool {
	var altered *feed.AlteredError
	var misplaced *feed.MisplacedError
	return errors.As(err, &altered) || errors.As(err, &misplaced)
}

// look waits for a look that covers epoch and now, or makes one.
func (w *watch) look(ctx context.Context, epoch uint64, now moment) error {
	for {
		l, mine := w.looks.Join(struct{}{})
		if mine {
			go w.run(l)
		}
		if err := l.Wait(ctx); err != nil {
			return err
		}
		if mine || w.covers(l, epoch, now) { // what began after the call covers it
			return l.Err
		}
	}
}

// run is one look. It owns next while it is under way. It has a goroutine of its own,
// because others may wait for it longer than the caller that began it; if the source panics
// there, the program must not end.
func (w *watch) run(l *look) {
	defer w.looks.Land(struct{}{}, l, nil)
	defer func() {
		if p := recover(); p != nil {
			l.Err = fmt.Errorf("%w: %v", flight.ErrBrokeOff, p)
		}
	}()
	l.Result = w.clock()
	l.Noted = w.source.Epoch()
	for more := true; more; {
		if more, l.Err = w.read(); l.Err != nil {
			return
		}
	}
	w.last.Store(l)
	w.source.Applied(w.next)
}

// read reads the feed once and drops what changed. It reports [feed.Changes].More.
func (w *watch) read() (more bool, err error) {
	changes, err := w.source.Changes(context.Background(), w.next)
	if err != nil {
		if endsLease(err) {
			w.last.Store(nil)
			// The store that comes back may be another one, or the same in an older state: its
			// numbers do not show which changes happened since. Nothing is dropped yet: no
			// check uses remembered keys before a look has succeeded, and a check that has
			// already looked must find a remembered revocation, not read the older state.
			w.adrift, w.next = true, feed.Position{}
		}
		return false, err
	}
	changes.Lost = changes.Lost || w.adrift
	w.forget(changes)
	w.next, w.adrift = changes.Next, false
	return changes.More, nil
}
