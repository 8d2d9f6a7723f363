package keys

import (
	"context"
	"sync/atomic"
)

// RequestContext is the context of one request that a guard let pass: what
// [NewContext] and [WithRequestID] would put around Context, in one piece, and with an
// id that is made when somebody first asks. Guards make one a request, so it is built
// to be embedded in what else they note; everybody else calls [IdentityFrom] and
// [RequestIDFrom]. It is safe for concurrent use and must not be copied after first
// use.
type RequestContext struct {
	context.Context
	Identity *Identity
	Given    string // what the request calls itself, see [RequestIDOr]

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

// requestID gives everybody the id of whoever asked first.
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

// RequestIDOr is the id of a request that calls itself given: that, if it is fit to be
// shown and logged, else a fresh one.
func RequestIDOr(given string) string {
	if ValidateRequestID(given) == nil {
		return given
	}
	return newRequestID()
}
