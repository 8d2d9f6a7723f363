package verifier

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// recheckEvery is how long a hold sleeps at the most. Expiry follows the wall clock,
// which may be set, and a timer does not.
const recheckEvery = 30 * time.Second

// holdAfter is how old a hold gets before it looks for the first time. Most requests end
// before that, and their hold costs only a timer; subscribing costs more.
const holdAfter = 5 * time.Millisecond

// askEvery is how often a hold looks again if the source is remote, and for how long it may find
// no answer: without a lease, each look is a question.
const (
	askEvery = 2 * time.Second
	askAgain = askEvery / 8
)

// followPause is how long a hold waits at the least between two looks that fail.
const followPause = 5 * time.Millisecond

// Hold watches something that stays open after the decision d: a stream, a long call. It
// calls ended once, with the reason, as soon as the same request would be refused: the key
// was revoked or disabled, it expired, the grace of its secret ended, or the source could not
// be read for too long. It also calls enough, which must be pure, with the present identity;
// if that returns false, the reason is insufficient_scope. A nil enough allows all.
//
// Call it after [Verifier.Authenticate], with the same call; changes in between are not
// missed. The rate limit does not matter, and nothing is counted. Ended is called from its
// own goroutine, some milliseconds after the change; to know at once, call
// [Verifier.Recheck]. After release returns, no call of ended begins. You must call release;
// ended may call it.
func (v *Verifier) Hold(d keys.Decision, call Call, enough func(now *keys.Identity) bool, ended func(keys.Code)) (release func()) {
	h := &hold{verifier: v, granted: d, call: call, enough: enough, ended: ended}
	h.mu.Lock()
	h.timer = time.AfterFunc(holdAfter, h.begin)
	h.mu.Unlock()
	return h.release
}

// Recheck decides again about the request that d was decided for, as [Verifier.Hold] does
// after a change to the key. Valid means that it would be accepted now, with the returned
// identity, which is nil otherwise. It uses the store's state at the moment of the call,
// counts nothing, and is about as cheap as Authenticate.
func (v *Verifier) Recheck(d keys.Decision, call Call) (now *keys.Identity, code keys.Code) {
	now, code, _ = v.stillGood(d, &call)
	return now, code
}

type hold struct {
	verifier *Verifier
	granted  keys.Decision
	call     Call
	enough   func(*keys.Identity) bool
	ended    func(keys.Code)
	forget   func()

	mu    sync.Mutex
	over  bool
	timer *time.Timer

	unanswered time.Time // since when a remote source cannot be asked; zero: it answered. Only check uses it
}

// begin subscribes before it looks, so no change falls between the two.
func (h *hold) begin() {
	h.mu.Lock()
	over := h.over
	if !over {
		h.forget = h.verifier.OnChange(h.granted.KeyID, func() { go h.check() })
	}
	h.mu.Unlock()
	if !over {
		h.check()
	}
}

// check decides again. If the result is valid, it plans the next check for when that may
// end.
func (h *hold) check() {
	began := h.verifier.clock.time()
	now, code, until := h.verifier.stillGood(h.granted, &h.call)
	if code == keys.CodeValid && h.enough != nil && !h.enough(now) {
		code = keys.CodeInsufficientScope
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.over:
	case h.waits(code, began):
		h.stop()
		h.timer = time.AfterFunc(askAgain, h.check)
	case code != keys.CodeValid:
		h.over = true
		h.stop()
		go h.ended(code)
	default:
		h.stop()
		h.timer = time.AfterFunc(until, h.check)
	}
}

// waits reports whether to ask again before the connection is ended: a remote source did not
// answer, but not for long.
func (h *hold) waits(code keys.Code, began time.Time) bool {
	if code != keys.CodeUnavailable || !h.verifier.remote {
		h.unanswered = time.Time{}
		return false
	}
	if h.unanswered.IsZero() {
		h.unanswered = began
	}
	return h.verifier.clock.time().Sub(h.unanswered) < askEvery
}

func (h *hold) stop() {
	if h.timer != nil {
		h.timer.Stop()
	}
}

func (h *hold) release() {
	h.mu.Lock()
	h.over = true
	h.stop()
	forget := h.forget
	h.mu.Unlock()
	if forget != nil {
		forget()
	}
}

// stillGood decides again what was decided with d, without its token. Until is how long the
// result is valid if the key does not change.
func (v *Verifier) stillGood(d keys.Decision, call *Call) (now *keys.Identity, code keys.Code, until time.Duration) {
	if !d.Valid() {
		return nil, keys.CodeUnavailable, 0
	}
	e, err := v.lookAgain(d.KeyID)
	if err != nil {
		return nil, keys.CodeUnavailable, 0
	}
	if e == nil {
		return nil, keys.CodeNotFound, 0
	}
	secret := d.Secret
	if s := e.key.Lasting(); call.AnySecret && s != nil {
		secret = s.Number
	}
	t, ok := e.terms(secret)
	if !ok {
		return nil, keys.CodeExpired, 0 // it was replaced
	}
	at := v.clock.moment().now
	if code := t.admit(at, call); code != keys.CodeValid {
		return nil, code, 0
	}
	if e.identity == nil {
		return nil, keys.CodeUnavailable, 0
	}
	until = recheckEvery
	if v.remote {
		until = askEvery
	}
	if !t.ends.IsZero() {
		until = min(until, time.Duration(t.until-at))
	}
	return e.identity, keys.CodeValid, until
}

// lookAgain returns the key's entry as it stands now, nil if there is no such key.
func (v *Verifier) lookAgain(id string) (*entry, error) {
	ctx := context.Background()
	look := v.cache.current
	if err := v.cache.watch.fresh(ctx, v.clock.moment()); err != nil {
		if !v.remote {
			return nil, err
		}
		look = v.cache.read // for this caller alone
	}
	e, err := look(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("check the keys of open connections: %w", err)
	}
	return e, nil
}

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
			lost = v.followOnce(lost)
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
// read for too long.
func (v *Verifier) followOnce(lost bool) bool {
	look := func() error { return v.cache.watch.fresh(context.Background(), v.clock.moment()) }
	if v.remote { // also if nothing changed: it renews the lease
		look = func() error { return v.cache.watch.renew(context.Background()) }
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
