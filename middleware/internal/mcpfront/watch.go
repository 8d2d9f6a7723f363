package mcpfront

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// Watch ends a session with its key. The key's last request is what is watched, except for its
// secret: after a rotation the session continues with the new one, also if nothing was sent with
// it before the end of the grace.
type Watch struct {
	guard *middleware.Guard
	end   func()

	mu      sync.Mutex
	last    context.Context // of the last request, as it was admitted
	serving int             // running requests
	idle    func()          // called when there is none
	held    bool            // whether last is held; otherwise the key is checked every askEvery
	release func()          // ends the hold or the timer
	over    bool
}

// askEvery is how often a session's key is checked while the key cannot be held. The session
// may outlive its key by this time.
const askEvery = time.Second

// NewWatch watches a session that was opened by an admitted request, whose context must not
// end. It calls end once, in a goroutine, when the key has ended and no request is running: the
// calls of a session must still get their error.
func NewWatch(admitted context.Context, guard *middleware.Guard, end func()) *Watch {
	w := &Watch{guard: guard, end: end, last: admitted}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hold()
	return w
}

// Seen notes another request of the session. It stays open until Served is called after the
// answer.
func (w *Watch) Seen(admitted context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = admitted
	w.serving++
	if !w.held && !w.over {
		w.release()
		w.hold()
	}
}

// Served notes that a request was answered.
func (w *Watch) Served() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serving--
	if w.serving == 0 && w.idle != nil {
		go w.idle()
		w.idle = nil
	}
}

// Last is the context of the last request.
func (w *Watch) Last() context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// hold begins to watch the key. It is called with w.mu held.
func (w *Watch) hold() {
	held, release := w.guard.HoldKey(w.last)
	stop := context.AfterFunc(held, w.ended)
	w.held, w.release = true, func() {
		stop()
		release()
	}
}

// ask checks the session again later. It is called with w.mu held.
func (w *Watch) ask() {
	again := time.AfterFunc(askEvery, w.ended)
	w.held, w.release = false, func() { again.Stop() }
}

// ended ends the session if its key has ended. A key that cannot be checked now may be valid
// again: the last request can then no longer be held, but the key can still end.
func (w *Watch) ended() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	w.release()
	var ended *middleware.EndedError
	err := w.guard.RecheckKey(w.last)
	switch {
	case err == nil: // the last request came from another address than the held one
		w.hold()
	case errors.As(err, &ended) && ended.Code == keys.CodeUnavailable:
		w.ask()
	default:
		w.over = true
		w.whenIdle(w.end)
	}
}

// whenIdle calls f when no request is running. It is called with w.mu held.
func (w *Watch) whenIdle(f func()) {
	var once sync.Once
	w.idle = func() { once.Do(f) }
	if w.serving == 0 {
		go w.idle()
		w.idle = nil
	}
}

// Close ends the watch without ending the session.
func (w *Watch) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.release()
}
