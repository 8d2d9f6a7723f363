package mcpauth

import (
	"context"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
)

// extraCaller is where a TokenInfo of ours holds its caller.
const extraCaller = "mcpkeys.caller"

// caller is what is known of one HTTP request, and travels with each of its
// messages.
type caller struct {
	identity  *keys.Identity
	requestID string
	admitted  context.Context // as the guard admitted it, without its end
	by        *handler
	visit     *visit
	out       *gate // the way out of that request
}

// tokenInfo is the [auth.TokenVerifier] that verifies nothing: the guard did. The
// session is bound to UserID, the key's id, which outlives rotations.
func tokenInfo(ctx context.Context, _ string, _ *http.Request) (*auth.TokenInfo, error) {
	c, ok := ctx.Value(callerKey{}).(caller)
	if !ok {
		return nil, auth.ErrInvalidToken
	}
	return &auth.TokenInfo{UserID: c.identity.KeyID(), Extra: map[string]any{extraCaller: c}}, nil
}

// callerOf tells who sent req. It looks at the request alone and never at a context,
// which in a session is that of its opener. Whoever cannot be told is nobody.
func callerOf(req mcp.Request) (caller, bool) {
	extra := req.GetExtra()
	if extra == nil || extra.TokenInfo == nil {
		return caller{}, false
	}
	c, ok := extra.TokenInfo.Extra[extraCaller].(caller)
	return c, ok && c.identity != nil
}

// context returns ctx with c in place of whoever was there.
func (c caller) context(ctx context.Context) context.Context {
	return keys.NewContext(keys.WithRequestID(ctx, c.requestID), c.identity)
}
