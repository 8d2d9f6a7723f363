package guardproxy

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// endings ends the programs of a key when the key ends, also idle ones. In the
// protocol with sessions, package mcphttp ends the session too.
type endings struct {
	guard *middleware.Guard
	end   func(keyID string)
	next  http.Handler

	mu    sync.Mutex
	byKey map[string]*lastUse
}

// lastUse is the last request of a key. Its secret may be another one than that of the request
// whose hold is waited for.
type lastUse struct {
	admitted context.Context
}

func (e *endings) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i, ok := keys.IdentityFrom(r.Context()); ok {
		e.note(context.WithoutCancel(r.Context()), i.KeyID())
	}
	e.next.ServeHTTP(w, r)
}

func (e *endings) note(admitted context.Context, keyID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if known := e.byKey[keyID]; known != nil {
		known.admitted = admitted
		return
	}
	if e.byKey == nil {
		e.byKey = map[string]*lastUse{}
	}
	use := &lastUse{admitted}
	e.byKey[keyID] = use
	e.hold(keyID, use) //nolint:contextcheck // its context is in use
}

// hold waits until the key can no longer be used with the secret of its last request. It is called
// with e.mu held.
func (e *endings) hold(keyID string, use *lastUse) {
	held, release := e.guard.HoldFor(use.admitted)
	context.AfterFunc(held, func() {
		release()
		e.ended(keyID, use)
	})
}

// ended ends the programs, unless a newer secret of the key was used since. If keys cannot be
// checked, the next request begins to wait again.
func (e *endings) ended(keyID string, use *lastUse) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, err := e.guard.RecheckFor(use.admitted)
	if err == nil {
		e.hold(keyID, use)
		return
	}
	delete(e.byKey, keyID)
	if ended := (*middleware.EndedError)(nil); errors.As(err, &ended) && ended.Code == keys.CodeUnavailable {
		return
	}
	e.end(keyID)
}
