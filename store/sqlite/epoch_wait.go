package sqlite

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// sleepers wait for the epoch to move. While there are some, one goroutine sleeps in the system until
// a writer wakes it (page.move). So a guard with open connections wakes a few times a second, and
// hears of each change at once. Only the goroutine sleeps on the page: such a sleep ends neither
// with a context nor with a channel.
type sleepers struct {
	mu      sync.Mutex
	waiting int
	moved   chan struct{} // closed when the epoch moves; nil: the goroutine does not run
	over    chan struct{} // closed when the goroutine has ended
	closed  bool
	on      atomic.Pointer[page] // where the goroutine sleeps, or is about to
	left    *time.Timer          // ends a sleep for which no caller waits; nil: one waits
	atMost  time.Duration        // for tests, instead of sleepAtMost
}

const (
	// sleepAtMost is how long the goroutine sleeps before it looks whether any caller still waits.
	sleepAtMost = 10 * time.Second
	// sleepOn is after how long without a caller it is woken to end. Callers return soon, as a rule:
	// they only look.
	sleepOn = 250 * time.Millisecond
	// sleepShort is how long it sleeps where the system cannot wake it.
	sleepShort = 5 * time.Millisecond
)

// Wait implements [feed.Feed].
func (r *Reader) Wait(ctx context.Context, epoch uint64) {
	if r.epoch.now.Load().page == nil { // every number is new, so a caller would ask without end
		pause(ctx, sleepShort)
	}
	for ctx.Err() == nil && r.epoch.load() == epoch {
		moved := r.epoch.join()
		if r.epoch.load() == epoch { // otherwise it moved before the goroutine was asked
			select {
			case <-moved:
			case <-ctx.Done():
			}
		}
		r.epoch.leave()
	}
}

// pause returns after that time, or when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// join returns a channel that is closed when the epoch moves after this call. Leave must follow.
func (e *epoch) join() <-chan struct{} {
	s := &e.sleepers
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting++
	if s.left != nil {
		s.left.Stop()
		s.left = nil
	}
	if s.moved == nil {
		s.moved = make(chan struct{})
		if s.closed {
			close(s.moved)
			return s.moved
		}
		s.over = make(chan struct{})
		go e.sleep(e.load(), s.over)
	}
	return s.moved
}

func (e *epoch) leave() {
	s := &e.sleepers
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting--; s.waiting == 0 && s.moved != nil && !s.closed {
		s.left = time.AfterFunc(sleepOn, e.end)
	}
}

// end wakes the goroutine if no caller waits, so that it ends. It wakes those of other processes too,
// which sleep again.
func (e *epoch) end() {
	s := &e.sleepers
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == 0 && !s.closed {
		e.now.Load().page.wake()
	}
}

// sleep tells of each move of the epoch from seen on, until there is nothing to tell it to.
func (e *epoch) sleep(seen uint64, over chan struct{}) {
	defer close(over)
	for {
		now := e.load()
		if !e.sleepers.tell(now != seen) {
			return
		}
		seen = now
		if !e.sleepOnPage(uint32(seen)) { //nolint:gosec // its low half
			time.Sleep(sleepShort)
		}
	}
}

// sleepOnPage reports false if it could not sleep.
func (e *epoch) sleepOnPage(low uint32) bool {
	s, p := &e.sleepers, e.now.Load().page
	if p == nil {
		return false
	}
	s.on.Store(p)
	defer s.on.Store(nil)
	return e.now.Load().page != p || p.sleep(low, cmp.Or(s.atMost, sleepAtMost)) // see wakeFrom
}

// wakeFrom returns when the goroutine does not sleep on p, which must no longer be the epoch's page.
func (s *sleepers) wakeFrom(p *page) {
	for p != nil && s.on.Load() == p {
		p.wake()
		if s.on.Load() == p { // it was not asleep yet
			time.Sleep(time.Millisecond)
		}
	}
}

// tell ends all waiting if the epoch moved, and reports whether the goroutine is still needed.
func (s *sleepers) tell(moved bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || moved {
		close(s.moved)
		s.moved = make(chan struct{})
	}
	if s.closed {
		close(s.moved) // for all that come later
		return false
	}
	if s.waiting == 0 {
		s.moved = nil
	}
	return s.waiting > 0
}

// close ends all waiting, and the goroutine, which wake wakes.
func (s *sleepers) close(wake func()) {
	s.mu.Lock()
	s.closed = true
	over, runs := s.over, s.over != nil && s.moved != nil
	s.mu.Unlock()
	for runs {
		wake()
		select {
		case <-over:
			return
		case <-time.After(time.Millisecond): // it was not asleep yet
		}
	}
}
