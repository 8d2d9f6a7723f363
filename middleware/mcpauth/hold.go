package mcpauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
)

// serve answers an admitted request for as long as its key allows. The end of the
// request's context is what makes the SDK let go of a stream. That comes after the end of
// the key, so that the SDK can still answer the calls of the stream.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, v *visit) {
	ctx, let := context.WithCancelCause(r.Context())
	defer let(nil)
	id, _ := keys.IdentityFrom(ctx)
	c := caller{identity: id, requestID: keys.RequestIDFrom(ctx), admitted: context.WithoutCancel(r.Context()), by: h, visit: v}
	c.out = newGate(w, r, h.guard, c, let)
	held, release := h.guard.HoldFor(c.admitted)
	defer release()
	defer context.AfterFunc(held, func() { c.out.end(context.Cause(held)) })()
	defer h.sessions.seen(r.Header.Get(headerSession), c)()
	h.next.ServeHTTP(c.out, r.WithContext(context.WithValue(ctx, callerKey{}, c)))
	c.out.finish()
}

type callerKey struct{}

// errNoAnswer: the goroutine of what answers ended in the middle of it.
var errNoAnswer = &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "the call ended without an answer"}

// run answers one message for as long as its caller's key gives what it takes: a hold of
// its own, because in a session ctx is that of the session's opener, and a call outlasts
// the request that brought it. When that ends, the error tells the client. What does not heed the end of its context is left to
// itself, so that neither the caller's stream nor the closing of a session waits for
// it.
//
// A panic goes on in the goroutine of the caller, where the middleware around can
// recover, with the value that it began with. Of what was left to itself it is logged
// and ends there: nobody is around it, and a process must not end with one key.
func (c caller) run(ctx context.Context, n needs, answer func(context.Context) (mcp.Result, error)) (mcp.Result, error) {
	held, release := c.hold(n)
	defer release()
	c.out.runs(n)
	call := &running{caller: c, takes: n}
	ctx, cancel := context.WithCancelCause(context.WithValue(ctx, runningKey{}, call))
	defer cancel(nil)
	type outcome struct {
		res      mcp.Result
		err      error
		panicked any
	}
	done, left := make(chan outcome), make(chan struct{})
	defer close(left)
	go func() {
		o := outcome{err: errNoAnswer}
		defer func() {
			o.panicked = recover()
			c.logPanic(o.panicked)
			select {
			case done <- o:
			case <-left:
			}
		}()
		o.res, o.err = answer(ctx)
	}()
	select {
	case o := <-done:
		call.end(nil)
		if o.panicked != nil {
			panic(o.panicked)
		}
		if err := c.late(n); err != nil {
			return nil, endingOf(err, n, c.requestID)
		}
		return o.res, o.err
	case <-held.Done():
		err := context.Cause(held)
		call.end(err)
		cancel(err)
		return nil, endingOf(err, n, c.requestID)
	}
}

// late returns why what was answered comes too late, where the gate cannot tell: of
// several messages in one request it does not know which one an answer is for.
func (c caller) late(n needs) error {
	if c.out.alone {
		return nil
	}
	return c.check(n)
}

// logPanic tells where a panic began, which whoever recovers it elsewhere cannot see. It
// is called while the panic's stack still stands. [http.ErrAbortHandler] is no fault, and
// nil no panic.
func (c caller) logPanic(panicked any) {
	if err, ok := panicked.(error); panicked == nil || ok && errors.Is(err, http.ErrAbortHandler) {
		return
	}
	c.by.guard.LogRefusal(c.admitted, "panicked", fmt.Errorf("panic in an MCP server\n%s", debug.Stack()),
		slog.String("panic", fmt.Sprint(panicked)))
}
