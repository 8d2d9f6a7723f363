package mcpauth

import (
	"context"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/middleware"
)

// needs is what a message needs of its key for as long as it runs. The zero needs requires only
// a valid key.
type needs struct {
	whole  bool     // everything that was granted, because a list shows it
	scopes []string // the scopes for which a call was admitted
}

// needsOf returns what a message needs that was admitted for scope, which may be empty.
func needsOf(req mcp.Request, scope string) needs {
	switch req.(type) {
	case *mcp.ListToolsRequest, *mcp.ListPromptsRequest, *mcp.ListResourcesRequest, *mcp.ListResourceTemplatesRequest:
		return needs{whole: true}
	}
	if scope == "" {
		return needs{}
	}
	return needs{scopes: []string{scope}}
}

// hold returns a context that ends when c's key no longer grants n.
func (c caller) hold(n needs) (held context.Context, release func()) {
	if n.whole {
		return c.by.guard.Hold(c.admitted)
	}
	return c.by.guard.HoldFor(c.admitted, n.scopes...)
}

// check checks now what hold watches.
func (c caller) check(n needs) error { return check(c.admitted, c.by.guard, n) }

func check(admitted context.Context, guard *middleware.Guard, n needs) error {
	if n.whole {
		return guard.Recheck(admitted)
	}
	_, err := guard.RecheckFor(admitted, n.scopes...)
	return err
}

// running is one message that is being answered. It is in the context of its handler.
type running struct {
	caller caller
	takes  needs

	mu    sync.Mutex
	done  bool
	over  error  // why it may send nothing more
	after func() // called when it is done
}

type runningKey struct{}

func runningFrom(ctx context.Context) *running {
	r, _ := ctx.Value(runningKey{}).(*running)
	return r
}

// maySpeak returns why the handler of r may send nothing more, or nil. With several messages in
// one request, only this knows which of them is sending.
func (r *running) maySpeak() error {
	r.mu.Lock()
	over := r.over
	r.mu.Unlock()
	if over != nil {
		return over
	}
	return r.caller.check(r.takes)
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

// end notes that r is done, because of err if it was cut off.
func (r *running) end(err error) {
	r.mu.Lock()
	after := r.after
	r.done, r.over, r.after = true, err, nil
	r.mu.Unlock()
	if after != nil {
		after()
	}
}
