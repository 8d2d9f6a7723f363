package verifier

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
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
// be read for too long. At each look it also calls enough, which must not block, with the present
// identity; if that returns false, the reason is insufficient_scope. A nil enough allows all.
//
// Call it after [Verifier.Authenticate], with the same call; changes in between are not
// missed. The rate limit does not matter, and nothing is counted. Ended is called from its
// own goroutine, some milliseconds after the change; to know at once, call
// [Verifier.Recheck]. After release returns, nothing more causes a call of ended; one that was
// caused before may still come, because release does not wait for it. You must call release; ended
// may call it.
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
	if s := e.known.lasting(); call.AnySecret && s != nil {
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
