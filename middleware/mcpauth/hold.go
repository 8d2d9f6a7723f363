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
	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// serve answers an admitted request for as long as its key allows. The SDK releases a stream
// when the request's context ends. That comes after the end of the key, so that the SDK can
// still answer the calls of the stream.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, v *mcpfront.Visit) {
	ctx, let := context.WithCancelCause(r.Context())
	defer let(nil)
	id, _ := keys.IdentityFrom(ctx)
	c := caller{identity: id, requestID: requestid.From(ctx), admitted: context.WithoutCancel(r.Context()), by: h, visit: v}
	c.out = newGate(w, r, h.guard, c, let)
	held, release := h.guard.HoldFor(c.admitted)
	defer release()
	defer context.AfterFunc(held, func() { c.out.end(context.Cause(held)) })()
	defer h.sessions.seen(r.Header.Get(mcpfront.HeaderSession), c)()
	h.next.ServeHTTP(c.out, r.WithContext(context.WithValue(ctx, callerKey{}, c)))
	c.out.finish()
}

type callerKey struct{}

// errNoAnswer: the goroutine of the handler ended without an answer.
var errNoAnswer = &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "the call ended without an answer"}

// run answers one message for as long as its caller's key grants what it needs. It has its own
// hold, because in a session ctx is that of the session's opener, and a call outlasts the
// request that brought it. When the hold ends, the client gets the error. A handler that
// ignores its context is left running, so that neither the caller's stream nor the closing of a
// session waits for it.
//
// A panic continues in the goroutine of the caller, with its value, where outer middleware can
// recover it. A panic of a handler that was left running is logged and ends there: no code
// could recover it, and the process must not end because of one key.
func (c caller) run(ctx context.Context, n mcppolicy.Needs, answer func(context.Context) (mcp.Result, error)) (mcp.Result, error) {
	// A message may arrive long after the head of its request, which was admitted.
	if err := n.Check(c.admitted, c.by.guard); err != nil {
		return nil, rpc(mcppolicy.Ending(err, n, c.requestID))
	}
	held, release := n.Hold(c.admitted, c.by.guard)
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
			return nil, rpc(mcppolicy.Ending(err, n, c.requestID))
		}
		return o.res, o.err
	case <-held.Done():
		err := context.Cause(held)
		call.end(err)
		cancel(err)
		return nil, rpc(mcppolicy.Ending(err, n, c.requestID))
	}
}

// late returns why an answer comes too late, if the gate cannot tell: of several messages in
// one request it does not know which one an answer is for.
func (c caller) late(n mcppolicy.Needs) error {
	if c.out.alone {
		return nil
	}
	return n.Check(c.admitted, c.by.guard)
}

// logPanic logs where a panic began, which code that recovers it elsewhere cannot see. Call it
// while the panic's stack exists. [http.ErrAbortHandler] is not a fault, and nil not a panic.
func (c caller) logPanic(panicked any) {
	if err, ok := panicked.(error); panicked == nil || ok && errors.Is(err, http.ErrAbortHandler) {
		return
	}
	c.by.guard.LogRefusal(c.admitted, "panicked", fmt.Errorf("panic in an MCP server\n%s", debug.Stack()),
		slog.String("panic", fmt.Sprint(panicked)))
}
