package verifier

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// holds are the subscribers to changes of keys. While there is one, one goroutine waits for
// the epoch to move, and calls them.
type holds struct {
	calling sync.Mutex // held while subscribers are called
	mu      sync.Mutex // guards what follows
	byID    map[string]map[*subscriber]struct{}
	due     []*subscriber      // to be called
	stop    context.CancelFunc // ends the goroutine; nil: there is none
	wake    context.CancelFunc // ends its waiting
	closed  bool
	stays   bool // the goroutine runs also without subscribers
	running sync.WaitGroup
}

type subscriber struct {
	call func()
	gone bool // guarded by holds.mu
}

// OnChange calls f within some milliseconds after any process changed the key, and also
// when it may have been changed: the store was restored or replaced, or could not be read
// for its lease. Programs use it to end open connections of a key: f means that the key must
// be checked again, not that it was revoked.
//
// Changes before OnChange are not reported. Call it first, and then Authenticate, so that no
// change is missed. An expiry is not a change.
//
// Calls come one after another, to all subscribers from one goroutine, so f must not
// block. After cancel returns no call begins; cancel may be called from f,
// and more than once. After [Verifier.Close] nothing is called.
func (v *Verifier) OnChange(keyID string, f func()) (cancel func()) {
	s := &subscriber{call: f}
	keyID = strings.Clone(keyID) // or the token would stay in memory with it
	v.holds.add(keyID, s, v.follow)
	v.followFrom()
	return func() { v.holds.cancel(keyID, s) }
}

// followFrom makes sure that there is a position to follow from: what comes before
// the first look is not a change.
func (v *Verifier) followFrom() {
	w := &v.cache.watch
	if w.last.Load() == nil && w.fresh(context.Background(), v.clock.moment()) != nil {
		v.holds.changed(feed.Changes{Lost: true})
	}
}

func (l *holds) add(keyID string, s *subscriber, follow func(context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if l.byID == nil {
		l.byID = map[string]map[*subscriber]struct{}{}
	}
	if l.byID[keyID] == nil {
		l.byID[keyID] = map[*subscriber]struct{}{}
	}
	l.byID[keyID][s] = struct{}{}
	l.start(follow)
}

// start starts the goroutine, unless it runs.
func (l *holds) start(follow func(context.Context)) {
	if l.stop == nil {
		ctx, stop := context.WithCancel(context.Background())
		l.stop = stop
		l.running.Go(func() { follow(ctx) })
	}
}

// always starts the goroutine for as long as the verifier is open.
func (l *holds) always(follow func(context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stays = true
	l.start(follow)
}

func (l *holds) cancel(keyID string, s *subscriber) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.gone = true
	delete(l.byID[keyID], s)
	if len(l.byID[keyID]) == 0 {
		delete(l.byID, keyID)
	}
	if len(l.byID) == 0 && !l.stays {
		l.rest()
	}
}

// rest ends the goroutine. The next subscriber starts another.
func (l *holds) rest() {
	if l.stop != nil {
		l.stop()
		l.stop = nil
	}
}

// close ends all subscriptions, and waits for the goroutine.
func (l *holds) close() {
	l.mu.Lock()
	l.closed, l.byID, l.due = true, nil, nil
	l.rest()
	l.mu.Unlock()
	l.running.Wait()
}

// changed notes which subscribers are to be called, and wakes the goroutine that does.
func (l *holds) changed(c feed.Changes) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.Lost {
		for _, list := range l.byID {
			l.note(list)
		}
	}
	for _, id := range c.IDs {
		l.note(l.byID[id])
	}
	if len(l.due) > 0 && l.wake != nil {
		l.wake()
	}
}

func (l *holds) note(list map[*subscriber]struct{}) {
	for s := range list {
		l.due = append(l.due, s)
	}
}

// follow looks as a check would, whenever the epoch moved and at least as often as the
// source's bounds say, until ctx is over.
func (v *Verifier) follow(ctx context.Context) {
	lost := false
	for ctx.Err() == nil {
		v.holds.wait(ctx, &v.cache.watch)
		if ctx.Err() == nil {
			lost = v.followOnce(ctx, lost)
		}
		v.holds.callDue()
		if lost {
			pause(ctx, followPause)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// wait returns when there may be something to do.
func (l *holds) wait(ctx context.Context, w *watch) {
	most := max(w.untilLook(), followPause)
	if w.bounds.Remote { // Wait returns when a lease has to be renewed
		most = recheckEvery
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	l.mu.Lock()
	waits := len(l.due) == 0 && ctx.Err() == nil
	if ctx.Err() == nil { // otherwise a later goroutine has set its own wake, which must stay
		l.wake = cancel
	}
	l.mu.Unlock()
	if waits {
		w.source.Wait(ctx, w.noted())
	}
}

// followOnce compares the epoch. It reports once, at the start, that the source cannot be
// read for too long. A look that has begun is finished also if ctx ends: checks wait for
// the same one.
func (v *Verifier) followOnce(ctx context.Context, lost bool) bool {
	ctx = context.WithoutCancel(ctx)
	look := func() error { return v.cache.watch.fresh(ctx, v.clock.moment()) }
	if v.remote { // also if nothing changed: it renews the lease
		look = func() error { return v.cache.watch.renew(ctx) }
	}
	err := look()
	if err != nil && !lost {
		v.holds.changed(feed.Changes{Lost: true})
	}
	return err != nil
}

func (l *holds) callDue() {
	l.calling.Lock()
	defer l.calling.Unlock()
	for {
		l.mu.Lock()
		if len(l.due) == 0 {
			l.mu.Unlock()
			return
		}
		s := l.due[0]
		l.due = l.due[1:]
		gone := s.gone
		l.mu.Unlock()
		if !gone {
			s.call()
		}
	}
}
