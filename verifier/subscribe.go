package verifier

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// followEvery is how often the epoch is compared on behalf of those who hold
// something open for a key and do not come back to ask. It is one load from memory.
const followEvery = 5 * time.Millisecond

// subscribers are those who want to hear that a key changed. While there is one, one
// goroutine compares the epoch and calls them.
type subscribers struct {
	calling sync.Mutex // held while subscribers are called
	mu      sync.Mutex // guards what follows
	byID    map[string]map[*subscriber]struct{}
	told    []*subscriber // to be called
	wake    chan struct{} // nil: nobody runs; closed: stop
	closed  bool
	running sync.WaitGroup
}

type subscriber struct {
	call func()
	gone bool // guarded by subscribers.mu
}

// OnChange calls f whenever the key was changed, by whatever process, within some
// milliseconds, and also when it may have been: the store was restored or replaced,
// or could not be read for a [keys.Lease]. Programs use it to end what they hold open
// for a key: f says that it is time to ask again, not that the key is dead.
//
// A change that came before OnChange is not told. Call it first, and Authenticate
// after it: then the one tells what the other missed. An expiry is no change.
//
// Calls come one after another, to all subscribers from one goroutine, so f must not
// block. After cancel returns no call begins; cancel may be called from f,
// and more than once. After [Verifier.Close] nothing is called.
func (v *Verifier) OnChange(keyID string, f func()) (cancel func()) {
	s := &subscriber{call: f}
	keyID = strings.Clone(keyID) // or the token would stay in memory with it
	v.subscribers.add(keyID, s, v.follow)
	v.followFrom()
	return func() { v.subscribers.cancel(keyID, s) }
}

// followFrom makes sure that there is a position to follow from: what comes before
// the first look of all is no change to it.
func (v *Verifier) followFrom() {
	if v.watch.last.Load() == nil && v.watch.fresh(context.Background(), v.sinceStart()) != nil {
		v.subscribers.tell(keys.Changes{Lost: true})
	}
}

func (l *subscribers) add(keyID string, s *subscriber, follow func(wake <-chan struct{})) {
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
	if l.wake == nil {
		wake := make(chan struct{}, 1)
		l.wake = wake
		l.running.Go(func() { follow(wake) })
	}
}

func (l *subscribers) cancel(keyID string, s *subscriber) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.gone = true
	delete(l.byID[keyID], s)
	if len(l.byID[keyID]) == 0 {
		delete(l.byID, keyID)
	}
	if len(l.byID) == 0 {
		l.stop()
	}
}

// stop lets the goroutine go. Another takes its place with the next subscriber.
func (l *subscribers) stop() {
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
}

// Close writes what was counted of keys' use, ends what [Verifier.OnChange] began and
// the renewing of digests, and waits for all of it; the error says that counts could not
// be written. It must not be called by a subscriber. The store stays open; it is the
// caller's, and closed after this.
func (v *Verifier) Close() error {
	v.rehashes.close()
	err := v.ledger.close()
	l := &v.subscribers
	l.mu.Lock()
	l.closed, l.byID, l.told = true, nil, nil
	l.stop()
	l.mu.Unlock()
	l.running.Wait()
	return err
}

// tell notes who is to be called, and wakes who calls.
func (l *subscribers) tell(c keys.Changes) {
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
	if len(l.told) == 0 || l.wake == nil {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default: // it is awake
	}
}

func (l *subscribers) note(list map[*subscriber]struct{}) {
	for s := range list {
		l.told = append(l.told, s)
	}
}

// follow looks as a check would, until wake is closed.
func (v *Verifier) follow(wake <-chan struct{}) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	lost := false
	for {
		select {
		case _, ok := <-wake:
			if !ok {
				return
			}
		case <-tick.C:
			lost = v.followOnce(lost)
		}
		v.subscribers.callTold()
	}
}

// followOnce compares the epoch. Whether nothing could be vouched for any more is
// told once, when it begins.
func (v *Verifier) followOnce(lost bool) bool {
	err := v.watch.fresh(context.Background(), v.sinceStart())
	if err != nil && !lost {
		v.subscribers.tell(keys.Changes{Lost: true})
	}
	return err != nil
}

func (l *subscribers) callTold() {
	l.calling.Lock()
	defer l.calling.Unlock()
	for {
		l.mu.Lock()
		if len(l.told) == 0 {
			l.mu.Unlock()
			return
		}
		s := l.told[0]
		l.told = l.told[1:]
		gone := s.gone
		l.mu.Unlock()
		if !gone {
			s.call()
		}
	}
}
