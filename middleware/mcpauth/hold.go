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

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// serve answers an admitted request for as long as its key allows. The SDK releases a stream
// when the request's context ends. That comes after the end of the key, so that the SDK can
// still answer the calls of the stream.
func (h *handler) serve(r *http.Request, c *caller) {
	ctx, let := context.WithCancelCause(c)
	defer let(nil)
	c.out.let = let
	c.hold()
	defer c.letGo()
	if s := h.sessions.seen(r.Header.Get(mcpfront.HeaderSession), c); s != nil {
		defer s.watch.Served()
	}
	defer c.body.drop()
	c.request = *r.WithContext(ctx)
	h.next.ServeHTTP(&c.out, &c.request)
	c.out.finish()
}

// errNoAnswer: the goroutine of the handler ended without an answer.
var errNoAnswer = &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "the call ended without an answer"}

// run answers one message for as long as its caller's key grants what it needs. The message is held
// beyond its request, because in a session ctx is that of the session's opener, and a call outlasts
// the request that brought it. When the hold ends, the client gets the error. A handler that
// ignores its context is left running, so that neither the caller's stream nor the closing of a
// session waits for it.
//
// A panic continues in the goroutine of the caller, with its value, where outer middleware can
// recover it. A panic of a handler that was left running is logged and ends there: no code
// could recover it, and the process must not end because of one key.
func (c *caller) run(call *running, next mcp.MethodHandler, method string, req mcp.Request) (mcp.Result, error) {
	call.ended = make(chan struct{})
	if err := c.holdFor(call); err != nil {
		return nil, call.ending(err)
	}
	defer c.letGoOf(call)
	ctx, cancel := context.WithCancelCause(call)
	defer cancel(nil)
	go call.answer(ctx, next, method, req)
	o, over := call.wait()
	if over != nil {
		cancel(over)
		return nil, call.ending(over)
	}
	if o.panicked != nil {
		panic(o.panicked)
	}
	if err := c.late(call.takes); err != nil {
		return nil, call.ending(err)
	}
	return o.res, o.err
}

// late returns why an answer comes too late, if the gate cannot tell: of several messages in
// one request it does not know which one an answer is for, and in a session the answer may pass
// through the gate of another request, which resumes the stream.
func (c *caller) late(n mcppolicy.Needs) error {
	if c.out.alone && !c.out.session {
		return nil
	}
	return n.Check(c.admitted, c.by.guard)
}

// logPanic logs where a panic began, which code that recovers it elsewhere cannot see. Call it
// while the panic's stack exists. [http.ErrAbortHandler] is not a fault, and nil not a panic.
func (c *caller) logPanic(panicked any) {
	if err, ok := panicked.(error); panicked == nil || ok && errors.Is(err, http.ErrAbortHandler) {
		return
	}
	c.by.guard.LogRefusal(c.admitted, "panicked", fmt.Errorf("panic in an MCP server\n%s", debug.Stack()),
		slog.String("panic", fmt.Sprint(panicked)))
}
