package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
)

// EndedError says why a context from [Guard.Hold] ended, as its [context.Cause]: the key may no
// longer do what the request was admitted for.
type EndedError struct {
	Code keys.Code // for logs; a client is told less, by [Guard.RefuseEnded]
}

func (e *EndedError) Error() string {
	return "the key may no longer do what this was admitted for: " + string(e.Code)
}

// Hold is for long requests: streams, websockets, long calls. [Guard.Admit] and [Guard.Require]
// judge a request when it arrives; Hold ends the context of one that g admitted as soon as it
// would be refused or be granted less: its key is revoked, disabled or narrowed, the key or the
// secret's grace expires, or keys can no longer be checked. That takes some milliseconds; the
// cause is then an [*EndedError], and one line is logged. Changes since the request was
// admitted are included.
//
//	ctx, release := guard.Hold(r.Context())
//	defer release()
//
// Release must be called in the end and also ends the context. A request shorter than 5 ms
// costs a timer. If g did not admit the request of ctx, the returned context has already ended.
func (g *Guard) Hold(ctx context.Context) (held context.Context, release func()) {
	return g.hold(ctx, whole, false)
}

// HoldFor is [Guard.Hold] for a part of the request that needs only scopes, literal as in
// [Guard.Admit]: it continues if others are removed. Without scopes it continues as long as the
// key is valid.
func (g *Guard) HoldFor(ctx context.Context, scopes ...string) (held context.Context, release func()) {
	return g.hold(ctx, these(scopes), false)
}

// HoldKey is [Guard.HoldFor] without scopes for what belongs to the key rather than to a request,
// such as a session: it continues if the grace of the request's secret ends, as long as the key has
// another valid one.
func (g *Guard) HoldKey(ctx context.Context) (held context.Context, release func()) {
	return g.hold(ctx, these(nil), true)
}

func (g *Guard) hold(ctx context.Context, takes takes, anySecret bool) (held context.Context, release func()) {
	held, cancel := context.WithCancelCause(ctx)
	a := g.admitted(ctx)
	if a == nil {
		cancel(&EndedError{keys.CodeNoCredential})
		return held, func() {}
	}
	forget := g.watch(ctx, a, anySecret, &heldContext{takes, cancel})
	return held, func() {
		forget()
		cancel(nil)
	}
}

// Held is what [Guard.Watch] watches.
type Held interface {
	// Enough reports whether the scopes of now suffice for it to continue; before is the
	// identity that its request was admitted with. It must not block.
	Enough(before, now *keys.Identity) bool

	// End is called at most once, from a goroutine of its own, when it may not continue. err is an
	// [*EndedError]. A call that had begun when release was called may run after release has
	// returned; it must then leave alone what is gone.
	End(err error)
}

// Watch is [Guard.Hold] without a context, for adapters: it calls h.End when the request of ctx
// would be refused, or h.Enough returns false. h.Enough is asked some milliseconds after Watch and
// whenever the key changed; what it answers may change in between, if its owner calls
// [Guard.RecheckFor] after each such change. After release has returned, nothing more makes h end.
func (g *Guard) Watch(ctx context.Context, h Held) (release func()) {
	a := g.admitted(ctx)
	if a == nil {
		go h.End(&EndedError{keys.CodeNoCredential})
		return func() {}
	}
	return g.watch(ctx, a, false, h)
}

func (g *Guard) watch(ctx context.Context, a *admission, anySecret bool, h Held) (release func()) {
	call := a.call()
	call.AnySecret = anySecret
	enough := func(now *keys.Identity) bool { return h.Enough(a.decision.Identity, now) }
	return g.verifier.Hold(a.decision, call, enough, func(code keys.Code) {
		g.logEnd(ctx, a, code)
		h.End(&EndedError{code})
	})
}

// heldContext is a context that ends.
type heldContext struct {
	takes  takes
	cancel context.CancelCauseFunc
}

func (h *heldContext) Enough(before, now *keys.Identity) bool { return h.takes(before, now) }
func (h *heldContext) End(err error)                          { h.cancel(err) }

// takes reports whether the present scopes still suffice for a request that began with the
// scopes before.
type takes func(before, now *keys.Identity) bool

func whole(before, now *keys.Identity) bool { return now == before || now.Covers(before) }

func these(scopes []string) takes {
	return func(_, now *keys.Identity) bool { return now.AllowsAll(scopes...) }
}

// Recheck checks at once what Hold watches, for callers that cannot wait milliseconds: for
// example, before an event is written to a stream. It returns nil, or an [*EndedError] if the
// request would no longer be admitted, or be granted less. Once a revoke has returned, every
// Recheck that starts later fails. It counts nothing and costs less than admitting.
func (g *Guard) Recheck(ctx context.Context) error {
	_, err := g.recheck(ctx, whole, false)
	return err
}

// RecheckKey checks at once what [Guard.HoldKey] watches.
func (g *Guard) RecheckKey(ctx context.Context) error {
	_, err := g.recheck(ctx, these(nil), true)
	return err
}

// RecheckFor checks at once what [Guard.HoldFor] watches. It also returns the caller's
// identity with the scopes that its key has now.
func (g *Guard) RecheckFor(ctx context.Context, scopes ...string) (now *keys.Identity, err error) {
	return g.recheck(ctx, these(scopes), false)
}

func (g *Guard) recheck(ctx context.Context, takes takes, anySecret bool) (*keys.Identity, error) {
	a := g.admitted(ctx)
	if a == nil {
		return nil, &EndedError{keys.CodeNoCredential}
	}
	call := a.call()
	call.AnySecret = anySecret
	now, code := g.verifier.Recheck(a.decision, call)
	if code == keys.CodeValid {
		if takes(a.decision.Identity, now) {
			return now, nil
		}
		code = keys.CodeInsufficientScope
	}
	g.logEnd(ctx, a, code)
	return nil, &EndedError{code}
}

// OnChange calls changed whenever the key of the request of ctx was changed, or may have been,
// see [verifier.Verifier.OnChange]. changed must not block; it calls [Guard.RecheckFor] to find
// out what changed. Cancel must be called in the end.
func (g *Guard) OnChange(ctx context.Context, changed func()) (cancel func()) {
	a := g.admitted(ctx)
	if a == nil {
		return func() {}
	}
	return g.verifier.OnChange(a.decision.KeyID, changed)
}

// admitted returns the note of g about the request of ctx.
func (g *Guard) admitted(ctx context.Context) *admission {
	a, ok := ctx.Value(admissionKey{}).(*admission)
	if !ok || a.guard != g || g == nil {
		return nil
	}
	return a
}

// logEnd writes one line for each request, however many parts of it were held, and before any
// of them ends.
func (g *Guard) logEnd(ctx context.Context, a *admission, code keys.Code) {
	a.ended.Do(func() {
		g.logger.LogAttrs(ctx, slog.LevelInfo, "held request ended",
			slog.String("code", string(code)),
			slog.String("key_id", a.decision.KeyID),
			addressAttr(a.ip),
			slog.String("request_id", requestid.From(ctx)))
	})
}

// changed is the answer for a key that is granted less: try again.
var changed = answer{
	status: http.StatusServiceUnavailable, code: "key_changed", silent: true, waits: true,
	detail: "What this API key may do was changed while the call ran.",
}

// RefuseEnded answers r, if nothing was answered yet, after an err of [Guard.Recheck] or the
// cause of a context from [Guard.Hold]: like a request that came too late or, if its key is
// still valid, with 503 and Retry-After.
func (g *Guard) RefuseEnded(w http.ResponseWriter, r *http.Request, err error) {
	a := unavailable
	var ended *EndedError
	if errors.As(err, &ended) {
		if known, ok := answers[ended.Code]; ok {
			a = known
		}
		if ended.Code == keys.CodeInsufficientScope {
			a = changed
		}
	}
	g.tell(w, r, a, nil, time.Second)
}
