package mcphttp

import (
	"context"
	"sync"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// life is how long an Endpoint serves.
type life struct {
	over context.Context // its cause is why it has ended
	end  context.CancelCauseFunc

	mu      sync.Mutex
	running sync.WaitGroup // requests that next answers
	sinks   map[*sink]struct{}
}

func newLife() *life {
	l := &life{sinks: map[*sink]struct{}{}}
	l.over, l.end = context.WithCancelCause(context.Background())
	return l
}

// begin notes that next gets a request, unless the life is over. Call running.Done after it.
func (l *life) begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := context.Cause(l.over); err != nil {
		return err
	}
	l.running.Add(1)
	return nil
}

// finish ends what runs because of err, and lets nothing more begin.
func (l *life) finish(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(err)
	for s := range l.sinks {
		go s.End(err)
	}
}

// add has s end with the life.
func (l *life) add(s *sink) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := context.Cause(l.over); err != nil {
		go s.End(err)
	}
	l.sinks[s] = struct{}{}
}

func (l *life) remove(s *sink) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sinks, s)
}

// End stops serving, for a server that is configured in another way or removed: running calls
// are answered with an error that says why, streams end, and next gets the DELETE of each session.
// Later requests are refused. End returns when that is done, or with ctx. why is a clause without
// a full stop; again says that clients should try again in a second.
func (h *Endpoint) End(ctx context.Context, why string, again bool) {
	h.life.finish(&mcppolicy.ServerEndedError{Why: why, Again: again})
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.life.running.Wait()
		var all sync.WaitGroup
		for _, s := range h.sessions.all() {
			all.Go(s.end)
		}
		all.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
