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

// holdAfter is how old a hold gets before it looks for the first time. Most of what is
// held is over by then and has cost a timer; subscribing costs more.
const holdAfter = followEvery

// Hold watches over something that was opened on the strength of the decision d and
// stays open: a stream, a long call. It calls ended once, with the reason, as soon as
// the same request would be refused: the key was revoked or disabled, it expired, the
// grace of its secret ended, or nothing can be vouched for any more. What the request
// would be granted now is asked of enough, which must be pure; if that says no, the
// reason is insufficient_scope. A nil enough asks for nothing.
//
// Call it after [Verifier.Authenticate], with the same call; what happened in between
// is not missed. The rate limit plays no part and nothing is counted. Ended is called
// from a goroutine of its own, some milliseconds after the change; who must know at
// once asks [Verifier.Recheck]. After release returns it is not called any more,
// unless it is being called; release may be called from it, and must be called in the
// end.
func (v *Verifier) Hold(d keys.Decision, call Call, enough func(now *keys.Identity) bool, ended func(keys.Code)) (release func()) {
	h := &hold{verifier: v, granted: d, call: call, enough: enough, ended: ended}
	h.mu.Lock()
	h.timer = time.AfterFunc(holdAfter, h.begin)
	h.mu.Unlock()
	return h.release
}

// Recheck decides again about the request that d was decided for, as [Verifier.Hold]
// does when the key was changed. Valid means that it would pass now, as the identity
// now; else that is nil. It goes by the store's state at the moment of the call, counts
// nothing, and is about as cheap as Authenticate.
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

// check asks again. It never runs out of questions by itself: what it finds good it
// looks at once more when that may end.
func (h *hold) check() {
	now, code, until := h.verifier.stillGood(h.granted, &h.call)
	if code == keys.CodeValid && h.enough != nil && !h.enough(now) {
		code = keys.CodeInsufficientScope
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.over:
	case code != keys.CodeValid:
		h.over = true
		h.stop()
		go h.ended(code)
	default:
		h.stop()
		h.timer = time.AfterFunc(until, h.check)
	}
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

// stillGood decides anew what was decided with d, without its token. Until is when to
// ask again, changes apart.
func (v *Verifier) stillGood(d keys.Decision, call *Call) (now *keys.Identity, code keys.Code, until time.Duration) {
	if !d.Valid() {
		return nil, keys.CodeUnavailable, 0
	}
	e, err := v.current(d.KeyID)
	if err != nil {
		return nil, keys.CodeUnavailable, 0
	}
	if e == nil {
		return nil, keys.CodeNotFound, 0
	}
	secret := e.key.Secret(d.Secret)
	if secret == nil {
		return nil, keys.CodeExpired, 0 // it was replaced
	}
	clock := v.clock()
	if code := e.key.Admit(secret, clock, call.demand()); code != keys.CodeValid {
		return nil, code, 0
	}
	if e.identity == nil {
		return nil, keys.CodeUnavailable, 0
	}
	until = recheckEvery
	if ends := e.key.Ends(secret); !ends.IsZero() {
		until = min(until, ends.Sub(clock))
	}
	return e.identity, keys.CodeValid, until
}

// current returns the key's entry as it stands now, nil if there is no such key.
func (v *Verifier) current(id string) (*entry, error) {
	ctx := context.Background()
	if err := v.watch.fresh(ctx, v.sinceStart()); err != nil {
		return nil, err
	}
	if c, ok := v.cells.GetIfPresent(id); ok {
		if e := c.entry.Load(); e != nil {
			return e, nil
		}
	}
	e, err := v.fetch(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("look again at what is held open: %w", err)
	}
	return e, nil
}
