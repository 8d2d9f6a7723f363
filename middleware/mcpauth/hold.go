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
// request's context is what makes the SDK let go of a stream.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, v *visit) {
	held, release := h.guard.Hold(r.Context())
	defer release()
	held, shut := context.WithCancelCause(held)
	defer shut(nil)
	id, _ := keys.IdentityFrom(held)
	c := caller{identity: id, requestID: keys.RequestIDFrom(held), admitted: context.WithoutCancel(r.Context()), by: h, visit: v}
	h.sessions.seen(r.Header.Get("Mcp-Session-Id"), c)
	out := &gate{ResponseWriter: w, guard: h.guard, req: r, ctx: held, shut: shut}
	h.next.ServeHTTP(out, r.WithContext(context.WithValue(held, callerKey{}, c)))
	out.finish()
}

type callerKey struct{}

// errEnded is what the SDK is told of a message that was given up. It reaches no
// stream; an EventStore may keep it.
var errEnded = &jsonrpc.Error{
	Code: jsonrpc.CodeInvalidRequest, Message: "what this API key may do was changed while the call ran; call again",
}

// errNoAnswer: the goroutine of what answers ended in the middle of it.
var errNoAnswer = &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "the call ended without an answer"}

// run answers one message for as long as its caller's key allows: a hold of its own,
// because in a session ctx is that of the session's opener, and a call outlasts the
// request that brought it. What does not heed the end of its context is left to
// itself, so that neither the caller's stream nor the closing of a session waits for
// it.
//
// A panic goes on in the goroutine of the caller, where the middleware around can
// recover, with the value that it began with. Of what was left to itself it is logged
// and ends there: nobody is around it, and a process must not end with one key.
func (c caller) run(ctx context.Context, answer func(context.Context) (mcp.Result, error)) (mcp.Result, error) {
	held, release := c.by.guard.Hold(c.admitted)
	defer release()
	ctx, cancel := context.WithCancelCause(ctx)
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
		if o.panicked != nil {
			panic(o.panicked)
		}
		return o.res, o.err
	case <-held.Done():
		cancel(context.Cause(held))
		return nil, errEnded
	}
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
