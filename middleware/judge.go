package middleware

import (
	"context"
	"log/slog"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Message is one message within a request that [Guard.AdmitMessages] let pass.
type Message struct {
	Method string // its name in the protocol, for the log
	Scope  string // the scope that it needs; an invalid one is never granted
	Call   bool   // whether it counts against the key's rate limit and in its usage
}

// Judge decides about one message of the request of ctx, for adapters with their own protocol.
// A call is counted before its scope is checked, so that a refused one costs as much. The
// decision has all that the guard knows about the caller; a refusal is logged and sampled.
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
		g.logRefusal(ctx, d, slog.String("method", m.Method), slog.String("asked", m.Scope), addressAttr(a.ip))
	}
	return d
}
