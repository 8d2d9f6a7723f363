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

// maxUses is how many addresses of a key are remembered.
const maxUses = 16

// endings ends the programs of a key when the key ends, also idle ones. In the
// protocol with sessions, package mcphttp ends the session too.
//
// A key may have clients at several addresses. Its programs end when none of them would be admitted
// with any secret of the key: a rotation does not end them.
type endings struct {
	guard *middleware.Guard
	end   func(keyID string)
	next  http.Handler

	mu     sync.Mutex
	closed bool
	byKey  map[string]map[address]*lastUse
}

// address tells the addresses of a key apart. What proxies sent is part of it.
type address [sha256.Size]byte

// lastUse is the last request from an address.
type lastUse struct {
	admitted context.Context
	held     func() // releases what waits for its end
}

// addressOf returns where a request came from.
func addressOf(r *http.Request) address {
	h := sha256.New()
	for _, value := range r.Header["X-Forwarded-For"] {
		write(h, value)
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	write(h, host)
	return address(h.Sum(nil))
}

func write(h hash.Hash, text string) { _, _ = io.WriteString(h, text+"\n") }

func (e *endings) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i, ok := keys.IdentityFrom(r.Context()); ok {
		e.note(context.WithoutCancel(r.Context()), i.KeyID(), addressOf(r))
	}
	e.next.ServeHTTP(w, r)
}

func (e *endings) note(admitted context.Context, keyID string, from address) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	if e.byKey == nil {
		e.byKey = map[string]map[address]*lastUse{}
	}
	uses := e.byKey[keyID]
	if uses == nil {
		uses = map[address]*lastUse{}
		e.byKey[keyID] = uses
	}
	if known := uses[from]; known != nil {
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
	uses[from] = use
	e.hold(keyID, from, use) //nolint:contextcheck // its context is in use
}

// hold waits until the key can no longer be used from this address. It is called with e.mu
// held.
func (e *endings) hold(keyID string, from address, use *lastUse) {
	held, release := e.guard.HoldKey(use.admitted)
	stop := context.AfterFunc(held, func() {
		release()
		e.ended(keyID, from, use)
	})
	use.held = func() {
		stop()
		release()
	}
}

// ended ends the programs, unless the key is still valid at another address.
func (e *endings) ended(keyID string, from address, use *lastUse) {
	e.mu.Lock()
	defer e.mu.Unlock()
	uses := e.byKey[keyID]
	if e.closed || uses[from] != use {
		return
	}
	err := e.guard.RecheckKey(use.admitted)
	ended := (*middleware.EndedError)(nil)
	switch {
	case err == nil:
		e.hold(keyID, from, use)
		return
	case errors.As(err, &ended) && ended.Code == keys.CodeUnavailable:
		again := time.AfterFunc(askAgain, func() { e.ended(keyID, from, use) })
		use.held = func() { again.Stop() }
		return
	}
	delete(uses, from)
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
