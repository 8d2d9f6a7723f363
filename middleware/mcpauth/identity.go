package mcpauth

import (
	"context"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
)

// extraCaller is where our TokenInfo holds its caller.
const extraCaller = "mcpkeys.caller"

// caller is what is known about one HTTP request, and accompanies each of its messages. It is also
// the request's context. All that a request needs of its own is in this one piece of memory.
type caller struct {
	context.Context // of the request as the guard admitted it
	identity        *keys.Identity
	admitted        context.Context // the same, without its end
	by              *handler
	visit           mcpfront.Visit
	body            body
	out             gate // sends to that request
	request         http.Request
	info            auth.TokenInfo
}

func newCaller(h *handler, w http.ResponseWriter, r *http.Request) *caller {
	c := &caller{Context: r.Context(), admitted: middleware.WithoutCancel(r.Context()), by: h}
	c.identity, _ = keys.IdentityFrom(r.Context())
	c.visit = *h.slots.Visit(c.identity.KeyID())
	c.out.open(w, r, c)
	return c
}

type callerKey struct{}

// Value implements [context.Context].
func (c *caller) Value(key any) any {
	if _, ok := key.(callerKey); ok {
		return c
	}
	return c.Context.Value(key)
}

// tokenInfo is an [auth.TokenVerifier] that verifies nothing: the guard did. The session is
// bound to UserID, the key's id, which does not change in rotations.
func tokenInfo(ctx context.Context, _ string, _ *http.Request) (*auth.TokenInfo, error) {
	c, ok := ctx.Value(callerKey{}).(*caller)
	if !ok {
		return nil, auth.ErrInvalidToken
	}
	c.info = auth.TokenInfo{UserID: c.identity.KeyID(), Extra: map[string]any{extraCaller: c}}
	return &c.info, nil
}

// callerOf returns the caller of req. It reads only the request and never a context, which in a
// session is that of its opener. Without a known caller, ok is false.
func callerOf(req mcp.Request) (*caller, bool) {
	extra := req.GetExtra()
	if extra == nil || extra.TokenInfo == nil {
		return nil, false
	}
	c, ok := extra.TokenInfo.Extra[extraCaller].(*caller)
	return c, ok && c.identity != nil
}
