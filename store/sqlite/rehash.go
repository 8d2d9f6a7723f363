package sqlite

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/store"
)

// renewer renews digests for a handle that cannot write. It has its own store, opened for
// the first renewal and used for nothing else. If the files may not be written, no digest is
// renewed, and nothing else differs.
type renewer struct {
	mu     sync.Mutex // one at a time, and guards what follows
	store  *Store     // nil until it is needed
	closed bool
}

var (
	_ pepper.Rehasher = (*Reader)(nil)
	_ pepper.Rehasher = (*Store)(nil)
)

// Rehash implements [pepper.Rehasher]. It waits for no guard, because the token that was
// proved stays good.
func (s *Store) Rehash(ctx context.Context, job *pepper.Rehash, now time.Time) error {
	return job.Do(store.WithWait(ctx, &store.Wait{No: true}), s, now)
}

// Rehash implements [pepper.Rehasher].
func (r *Reader) Rehash(ctx context.Context, job *pepper.Rehash, now time.Time) (err error) {
	r.renewer.mu.Lock()
	defer r.renewer.mu.Unlock()
	if r.renewer.closed {
		return errClosed
	}
	if r.renewer.store == nil {
		if r.renewer.store, err = Open(r.given, &Options{PepperFile: r.pepperFile, UsageFile: r.usage.path}); err != nil { //nolint:contextcheck // opening is not cancelled half-way
			return err
		}
	}
	err = r.renewer.store.Rehash(ctx, job, now)
	if err != nil { // another file may stand there now: the next one begins afresh
		err = errors.Join(err, r.renewer.letGo())
	}
	return err
}

func (w *renewer) letGo() error {
	if w.store == nil {
		return nil
	}
	s := w.store
	w.store = nil
	return s.Close()
}

// close waits for the one that is under way.
func (w *renewer) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return w.letGo()
}
