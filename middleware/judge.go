package middleware

import (
	"context"
	"log/slog"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Message is one message within a request that [Guard.AdmitMessages] let pass.
type Message struct {
	Method string // what the protocol calls it, for the log
	Scope  string // what it takes; one that is no scope is granted to nobody
	Call   bool   // it is a call: it is counted against the key's rate limit, and in its usage
}

// Judge decides on one message of the request that ctx is of, for adapters that answer
// within a protocol of their own. A call is counted before its scope is asked, so that
// what is not granted costs as much. The decision carries all that the guard found out
// about the caller; what is refused is logged and sampled.
func (g *Guard) Judge(ctx context.Context, m Message) keys.Decision {
	a := g.admitted(ctx)
	if a == nil {
		g.LogRefusal(ctx, keys.CodeNoCredential, nil, slog.String("method", m.Method))
		return keys.Decision{Code: keys.CodeNoCredential}
	}
	d, call := a.decision, a.call()
	if m.Call && !a.paid.CompareAndSwap(true, false) {
		d = g.verifier.Charge(d, call)
	}
	switch {
	case !d.Valid():
	case m.Call:
		d = g.verifier.Authorize(d, call, m.Scope)
	default:
		if d = d.Authorize(m.Scope); !d.Valid() {
			g.verifier.NoteDenial(d, call)
		}
	}
	if !d.Valid() {
		g.logRefusal(ctx, d, slog.String("method", m.Method), slog.String("asked", m.Scope), slog.String(attrIP, a.ip.String()))
	}
	return d
}
