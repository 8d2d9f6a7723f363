package requestid

import (
	"context"
	"sync/atomic"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/internal/ctxkey"
)

// Context is the context of one request that a guard accepted. It does in one
// piece what [keys.NewContext] and [With] do, and makes the request id when it is
// first asked for. Guards embed it in their own context; all others call [keys.IdentityFrom]
// and [From]. It is safe for concurrent use and must not be copied after first
// use.
type Context struct {
	context.Context
	Identity *keys.Identity
	Given    string // the request's own id, see [Or]

	id atomic.Pointer[string]
}

// Value implements [context.Context].
func (c *Context) Value(key any) any {
	switch key.(type) {
	case ctxkey.Identity:
		return c.Identity
	case ctxkey.RequestID:
		return c.requestID()
	}
	return c.Context.Value(key)
}

// Shared is a context with the identity and the request's id of another one, for what an
// adapter runs for an admitted request in a context that is not that request's.
type Shared struct {
	context.Context
	Of context.Context // of the request; of its values only these two are read
}

// Value implements [context.Context].
func (s *Shared) Value(key any) any {
	switch key.(type) {
	case ctxkey.Identity, ctxkey.RequestID:
		return s.Of.Value(key)
	}
	return s.Context.Value(key)
}

// requestID makes the id at the first call, and returns it at every call.
func (c *Context) requestID() string {
	if id := c.id.Load(); id != nil {
		return *id
	}
	id := Or(c.Given)
	if c.id.CompareAndSwap(nil, &id) {
		return id
	}
	return *c.id.Load()
}
