package mcpauth

import (
	"context"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// running is one message that is being answered, and the context of its handler: that of the SDK,
// with the identity and the id of the request that brought the message.
type running struct {
	requestid.Shared
	caller  *caller
	takes   mcppolicy.Needs
	counted *mcp.RequestExtra // of a call that was counted, see count
	ended   chan struct{}     // closed when the message is done

	before  *running // another message of its request, guarded by the gate's mu
	release func()   // ends its own hold; nil without one

	mu    sync.Mutex
	done  bool
	gave  outcome
	over  error  // why it may send nothing more; then its outcome does not matter
	after func() // called when it is done
}

// outcome is what a handler gave.
type outcome struct {
	res      mcp.Result
	err      error
	panicked any
}

type runningKey struct{}

// Value implements [context.Context].
func (r *running) Value(key any) any {
	if _, ok := key.(runningKey); ok {
		return r
	}
	return r.Shared.Value(key)
}

func runningFrom(ctx context.Context) *running {
	r, _ := ctx.Value(runningKey{}).(*running)
	return r
}

// answer calls the handler, unless the key has ended. A message may arrive long after the head of
// its request, which was admitted, and this goroutine may get the processor late. The message is
// held already, so that no change falls between the two.
func (r *running) answer(ctx context.Context, next mcp.MethodHandler, method string, req mcp.Request) {
	if err := r.maySpeak(); err != nil {
		r.end(outcome{}, err)
		return
	}
	o := outcome{err: errNoAnswer}
	defer func() {
		o.panicked = recover()
		r.caller.logPanic(o.panicked)
		r.end(o, nil)
	}()
	o.res, o.err = r.caller.answer(ctx, next, method, req)
}

// Enough implements [middleware.Held].
func (r *running) Enough(before, now *keys.Identity) bool { return r.takes.MetBy(before, now) }

// End implements [middleware.Held]: the handler is no longer waited for.
func (r *running) End(err error) { r.end(outcome{}, err) }

// ending is what a client is told if the message ended because of err.
func (r *running) ending(err error) error {
	return rpc(mcppolicy.Ending(err, r.takes, requestid.From(r.caller.admitted)))
}

// maySpeak returns why the handler of r may not begin, or send nothing more, or nil. With several
// messages in one request, only this knows which of them is sending.
func (r *running) maySpeak() error {
	r.mu.Lock()
	over := r.over
	r.mu.Unlock()
	if over != nil {
		return over
	}
	return r.takes.Check(r.caller.admitted, r.caller.by.guard)
}

// then calls f when r is done, at once if it is.
func (r *running) then(f func()) {
	r.mu.Lock()
	done := r.done
	if !done {
		r.after = f
	}
	r.mu.Unlock()
	if done {
		f()
	}
}

// end notes that r is done, because of err if it was cut off. Only the first end counts.
func (r *running) end(o outcome, err error) {
	r.mu.Lock()
	first, after := !r.done, r.after
	if first {
		r.done, r.gave, r.over, r.after = true, o, err, nil
	}
	r.mu.Unlock()
	if !first {
		return
	}
	if after != nil {
		after()
	}
	close(r.ended)
}

// wait returns what the handler gave, or why it was cut off.
func (r *running) wait() (o outcome, over error) {
	<-r.ended
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gave, r.over
}
