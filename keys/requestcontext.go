package keys

import (
	"context"
	"sync/atomic"
)

// RequestContext is the context of one request that a guard accepted. It does in one
// piece what [NewContext] and [WithRequestID] do, and makes the request id when it is
// first asked for. Guards embed it in their own context; all others call [IdentityFrom]
// and [RequestIDFrom]. It is safe for concurrent use and must not be copied after first
// use.
type RequestContext struct {
	context.Context
	Identity *Identity
	Given    string // the request's own id, see [RequestIDOr]

	id atomic.Pointer[string]
}

// Value implements [context.Context].
func (c *RequestContext) Value(key any) any {
	switch key.(type) {
	case identityKey:
		return c.Identity
	case requestIDKey:
		return c.requestID()
	}
	return c.Context.Value(key)
}

// requestID makes the id at the first call, and returns it at every call.
func (c *RequestContext) requestID() string {
	if id := c.id.Load(); id != nil {
		return *id
	}
	id := RequestIDOr(c.Given)
	if c.id.CompareAndSwap(nil, &id) {
		return id
	}
	return *c.id.Load()
}

// RequestIDOr returns given, the request's own id, if it is valid, and a fresh id
// otherwise.
func RequestIDOr(given string) string {
	if ValidateRequestID(given) == nil {
		return given
	}
	return newRequestID()
}
