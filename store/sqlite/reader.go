package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/store"
)

// Reader answers queries about keys and cannot write. It is safe for concurrent
// use.
type Reader struct {
	given      string                     // the path as the caller named it, absolute
	path       string                     // where that led
	pepperFile string                     // absolute
	peppers    atomic.Pointer[pepper.Set] // replaced as a whole; see pepperfollow.go
	epoch      epoch
	seen       atomic.Uint64 // the furthest position that this process knows of
	usage      usageFile
	renewer    renewer
	writable   bool // the epoch is mapped for writing
	cacheMiB   int  // of the page cache of each connection of db

	gate gate // callers inside may use the fields below; they change only while it is shut
	handle
	incarnation int // counts what was opened in place of something else
	misfit      misfit

	batches validBatches
}

// handle is an open database file.
type handle struct {
	spot    *spot
	raised  bool // db opened the file for writing, though it does not write
	schema  int
	db      *sql.DB
	watch   *schemaWatch // of db
	keyByID *sql.Stmt
	numbers *sql.Stmt
	stamp   pepperStamp // of the pepper file that was held against it
}

var _ store.Reader = (*Reader)(nil)

// Peppers implements [store.Reader].
func (r *Reader) Peppers() *pepper.Set { return r.peppers.Load() }

// Close implements [store.Reader].
func (r *Reader) Close() error {
	if !r.gate.shut() {
		return nil
	}
	err := errors.Join(r.renewer.close(), r.usage.close(), r.release(r.raised, r.db))
	r.epoch.close()
	return err
}

// prepare compiles the statements of the hot path once per connection.
func (h *handle) prepare(ctx context.Context) error {
	var err1, err2 error
	h.keyByID, err1 = h.db.PrepareContext(ctx, selectKey)
	h.numbers, err2 = h.db.PrepareContext(ctx, selectNumbers)
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

// refuseShut is for calls that enter later, part by part, or not at all.
func (g *gate) refuseShut() error {
	if err := g.enter(); err != nil {
		return err
	}
	g.leave()
	return nil
}

// alone runs do when no caller is inside, and lets none in until it returns.
func (g *gate) alone(do func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errClosed
	}
	return do()
}

// shut reports whether this call was the one that shut it.
func (g *gate) shut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.closed
	g.closed = true
	return !was
}
