package mcpauth

import (
	"context"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
)

// extraCaller is where our TokenInfo holds its caller.
const extraCaller = "mcpkeys.caller"

// caller is what is known about one HTTP request, and accompanies each of its messages.
type caller struct {
	identity  *keys.Identity
	requestID string
	admitted  context.Context // the request's context as the guard admitted it, without cancellation
	by        *handler
	visit     *mcpfront.Visit
	out       *gate // sends to that request
}

// tokenInfo is an [auth.TokenVerifier] that verifies nothing: the guard did. The session is
// bound to UserID, the key's id, which does not change in rotations.
func tokenInfo(ctx context.Context, _ string, _ *http.Request) (*auth.TokenInfo, error) {
	c, ok := ctx.Value(callerKey{}).(caller)
	if !ok {
		return nil, auth.ErrInvalidToken
	}
	return &auth.TokenInfo{UserID: c.identity.KeyID(), Extra: map[string]any{extraCaller: c}}, nil
}

// callerOf returns the caller of req. It reads only the request and never a context, which in a
// session is that of its opener. Without a known caller, ok is false.
func callerOf(req mcp.Request) (caller, bool) {
	extra := req.GetExtra()
	if extra == nil || extra.TokenInfo == nil {
		return caller{}, false
	}
	c, ok := extra.TokenInfo.Extra[extraCaller].(caller)
	return c, ok && c.identity != nil
}

// context returns ctx with c as the caller.
func (c caller) context(ctx context.Context) context.Context {
	return keys.NewContext(requestid.With(ctx, c.requestID), c.identity)
}
