package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// EndedError tells why a context from [Guard.Hold] ended, as its [context.Cause]: the
// key may no longer do what the request was admitted for.
type EndedError struct {
	Code keys.Code // for logs; a client is told less, by [Guard.RefuseEnded]
}

func (e *EndedError) Error() string {
	return "what was allowed when this began is allowed no more: " + string(e.Code)
}

// Hold is for what stays open: streams, websockets, long calls. [Guard.Admit] and
// [Guard.Require] judge a request when it comes; Hold ends the context of one that g
// admitted as soon as it would be refused or be granted less: its key is revoked,
// disabled or narrowed, it or its secret's grace expires, or keys cannot be checked any
// more. That takes some milliseconds; the cause is then an [*EndedError], and one line
// is logged. What happened since the request was admitted is not missed.
//
//	ctx, release := guard.Hold(r.Context())
//	defer release()
//
// Release must be called in the end and also ends the context. A request that lasts
// less than 5 ms pays a timer. A ctx that is not of a request which g admitted is held
// by nothing and is over at once.
func (g *Guard) Hold(ctx context.Context) (held context.Context, release func()) {
	return g.hold(ctx, whole)
}

// HoldFor is [Guard.Hold] for a part of the request that takes no more of its key than
// scopes, literal as in [Guard.Admit]: it goes on when others are taken away. Without
// scopes it goes on as long as the key is good.
func (g *Guard) HoldFor(ctx context.Context, scopes ...string) (held context.Context, release func()) {
	return g.hold(ctx, these(scopes))
}

func (g *Guard) hold(ctx context.Context, takes takes) (held context.Context, release func()) {
	held, cancel := context.WithCancelCause(ctx)
	a := g.admitted(ctx)
	if a == nil {
		cancel(&EndedError{keys.CodeNoCredential})
		return held, func() {}
	}
	enough := func(now *keys.Identity) bool { return takes(a.decision.Identity, now) }
	forget := g.verifier.Hold(a.decision, a.call(), enough, func(code keys.Code) {
		g.logEnd(ctx, a, code)
		cancel(&EndedError{code})
	})
	return held, func() {
		forget()
		cancel(nil)
	}
}

// takes reports whether what is granted now is enough for what was begun as before.
type takes func(before, now *keys.Identity) bool

func whole(before, now *keys.Identity) bool { return now == before || now.Covers(before) }

func these(scopes []string) takes {
	return func(_, now *keys.Identity) bool { return now.AllowsAll(scopes...) }
}

// Recheck is what Hold asks, asked now, for those to whom milliseconds matter: before
// an event is written to a stream, say. It returns nil, or an [*EndedError] if the
// request would not be admitted any more, or be granted less. When a revoke has
// returned, no Recheck that starts later passes. It counts nothing and costs less than
// admitting.
func (g *Guard) Recheck(ctx context.Context) error {
	_, err := g.recheck(ctx, whole)
	return err
}

// RecheckFor is to [Guard.HoldFor] what Recheck is to Hold. It also returns who the
// request would be admitted as now, with the scopes that its key has now.
func (g *Guard) RecheckFor(ctx context.Context, scopes ...string) (now *keys.Identity, err error) {
	return g.recheck(ctx, these(scopes))
}

func (g *Guard) recheck(ctx context.Context, takes takes) (*keys.Identity, error) {
	a := g.admitted(ctx)
	if a == nil {
		return nil, &EndedError{keys.CodeNoCredential}
	}
	now, code := g.verifier.Recheck(a.decision, a.call())
	if code == keys.CodeValid {
		if takes(a.decision.Identity, now) {
			return now, nil
		}
		code = keys.CodeInsufficientScope
	}
	g.logEnd(ctx, a, code)
	return nil, &EndedError{code}
}

// OnChange calls changed whenever the key of the request that ctx is of was changed, or
// may have been, as [verifier.Verifier.OnChange] has it: changed must not block, and asks
// [Guard.RecheckFor] what is true now. Cancel must be called in the end.
func (g *Guard) OnChange(ctx context.Context, changed func()) (cancel func()) {
	a := g.admitted(ctx)
	if a == nil {
		return func() {}
	}
	return g.verifier.OnChange(a.decision.KeyID, changed)
}

// admitted returns the note that g left on the request that ctx is of.
func (g *Guard) admitted(ctx context.Context) *admission {
	a, ok := ctx.Value(admissionKey{}).(*admission)
	if !ok || a.guard != g || g == nil {
		return nil
	}
	return a
}

// logEnd writes one line a request, however much of it was held, and before anything
// of it ends.
func (g *Guard) logEnd(ctx context.Context, a *admission, code keys.Code) {
	a.ended.Do(func() {
		g.logger.LogAttrs(ctx, slog.LevelInfo, "held request ended",
			slog.String("code", string(code)),
			slog.String("key_id", a.decision.KeyID),
			slog.String(attrIP, a.ip.String()),
			slog.String("request_id", keys.RequestIDFrom(ctx)))
	})
}

// changed is what a key that was granted less is told, and told to come back for.
var changed = answer{
	status: http.StatusServiceUnavailable, code: "key_changed", silent: true, waits: true,
	detail: "What this API key may do was changed while the call ran.",
}

// RefuseEnded answers r, of which nothing was answered yet, when err came of [Guard.Recheck]
// or as the cause of a context from [Guard.Hold]: like a request that came too late,
// or, if its key is still good for something, with 503 to be tried again.
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
