package guardproxy

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// askAgain is how long endings waits while keys cannot be checked.
const askAgain = 2 * time.Second

// maxUses is how many secrets and addresses of a key are remembered.
const maxUses = 16

// endings ends the programs of a key when the key ends, also idle ones. In the
// protocol with sessions, package mcphttp ends the session too.
//
// A key may have two secrets, and clients at several addresses. Its programs end when none of
// them would be admitted.
type endings struct {
	guard   *middleware.Guard
	headers []string // that may carry a key, beside the usual ones
	end     func(keyID string)
	next    http.Handler

	mu     sync.Mutex
	closed bool
	byKey  map[string]map[credentials]*lastUse
}

// credentials tell the secrets and the addresses of a key apart. They are made before the guard
// removes the secret from the request.
type credentials [sha256.Size]byte

// lastUse is the last request with a secret from an address.
type lastUse struct {
	admitted context.Context
	held     func() // releases what waits for its end
}

type credentialsKey struct{}

// with remembers which credentials the request has.
func (e *endings) with(ctx context.Context, r *http.Request) context.Context {
	h := sha256.New()
	for _, name := range append([]string{"Authorization", "X-Api-Key", "X-Forwarded-For"}, e.headers...) {
		for _, value := range r.Header.Values(name) {
			write(h, value)
		}
		write(h, "")
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	write(h, host)
	return context.WithValue(ctx, credentialsKey{}, credentials(h.Sum(nil)))
}

func write(h hash.Hash, text string) { _, _ = io.WriteString(h, text+"\n") }

func (e *endings) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i, ok := keys.IdentityFrom(r.Context()); ok {
		c, _ := r.Context().Value(credentialsKey{}).(credentials)
		e.note(context.WithoutCancel(r.Context()), i.KeyID(), c)
	}
	e.next.ServeHTTP(w, r)
}

func (e *endings) note(admitted context.Context, keyID string, c credentials) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	if e.byKey == nil {
		e.byKey = map[string]map[credentials]*lastUse{}
	}
	uses := e.byKey[keyID]
	if uses == nil {
		uses = map[credentials]*lastUse{}
		e.byKey[keyID] = uses
	}
	if known := uses[c]; known != nil {
		known.admitted = admitted
		return
	}
	for other, use := range uses { // any one: the others still stand for the key
		if len(uses) < maxUses {
			break
		}
		use.held()
		delete(uses, other)
	}
	use := &lastUse{admitted: admitted}
	uses[c] = use
	e.hold(keyID, c, use) //nolint:contextcheck // its context is in use
}

// hold waits until the key can no longer be used with these credentials. It is called with e.mu
// held.
func (e *endings) hold(keyID string, c credentials, use *lastUse) {
	held, release := e.guard.HoldFor(use.admitted)
	stop := context.AfterFunc(held, func() {
		release()
		e.ended(keyID, c, use)
	})
	use.held = func() {
		stop()
		release()
	}
}

// ended ends the programs, unless other credentials of the key are still valid.
func (e *endings) ended(keyID string, c credentials, use *lastUse) {
	e.mu.Lock()
	defer e.mu.Unlock()
	uses := e.byKey[keyID]
	if e.closed || uses[c] != use {
		return
	}
	_, err := e.guard.RecheckFor(use.admitted)
	ended := (*middleware.EndedError)(nil)
	switch {
	case err == nil:
		e.hold(keyID, c, use)
		return
	case errors.As(err, &ended) && ended.Code == keys.CodeUnavailable:
		again := time.AfterFunc(askAgain, func() { e.ended(keyID, c, use) })
		use.held = func() { again.Stop() }
		return
	}
	delete(uses, c)
	if len(uses) == 0 {
		delete(e.byKey, keyID)
		e.end(keyID)
	}
}

// close forgets all keys.
func (e *endings) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, uses := range e.byKey {
		for _, use := range uses {
			use.held()
		}
	}
	e.byKey = nil
}
