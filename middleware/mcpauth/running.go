package mcpauth

import (
	"context"
	"sync"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// running is one message that is being answered. It is in the context of its handler.
type running struct {
	caller caller
	takes  mcppolicy.Needs

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
