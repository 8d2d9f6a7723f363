package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Reader answers queries about keys and cannot write. It is safe for concurrent
// use.
type Reader struct {
	path    string
	db      *sql.DB
	peppers *keys.Peppers
	gate    gate

	keyByID   *sql.Stmt
	changeSeq *sql.Stmt
}

var _ keys.Reader = (*Reader)(nil)

// Peppers implements [keys.Reader].
func (r *Reader) Peppers() *keys.Peppers { return r.peppers }

// Close implements [keys.Reader].
func (r *Reader) Close() error {
	if !r.gate.shut() {
		return nil
	}
	return r.db.Close()
}

// prepare compiles the statements of the hot path once per connection.
func (r *Reader) prepare(ctx context.Context) error {
	var err1, err2 error
	r.keyByID, err1 = r.db.PrepareContext(ctx, selectKey)
	r.changeSeq, err2 = r.db.PrepareContext(ctx, selectChangeSeq)
	return unavailable("prepare statements", errors.Join(err1, err2))
}

// gate lets calls in until it is shut, and is shut when the last one has left.
type gate struct {
	mu     sync.RWMutex
	closed bool
}

func (g *gate) enter() error {
	g.mu.RLock()
	if g.closed {
		g.mu.RUnlock()
		return errClosed
	}
	return nil
}

func (g *gate) leave() { g.mu.RUnlock() }

// shut reports whether this call was the one that shut it.
func (g *gate) shut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.closed
	g.closed = true
	return !was
}
