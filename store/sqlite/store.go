package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
)

// Store is a [Reader] that can also change keys. It is safe for concurrent use;
// changes take turns, also with those of other processes.
type Store struct {
	*Reader
	lock        *fairLock // of those who write
	writer      *sql.DB
	writerWatch *schemaWatch
	written     *spot // what writer has open; the Reader may go on to another file, writer does not
}

var _ store.Store = (*Store)(nil)

// Close implements [store.Reader]. It closes the writer last, so that the writer can move the
// log into the database.
func (s *Store) Close() error {
	if !s.gate.shut() {
		return nil
	}
	s.lock.close()
	defer s.epoch.close()
	if s.spot != s.written { // the Reader went on to another database
		abandon(s.writer)
		return errors.Join(s.usage.close(), s.release(s.raised, s.db))
	}
	return errors.Join(s.usage.close(), s.release(true, s.db, s.writer))
}

// Create implements [store.Store].
func (s *Store) Create(ctx context.Context, k *keys.Key, e audit.Event) error {
	return s.besideImports(ctx, &k, func() error {
		return s.write(ctx, func(ctx context.Context, w *work) error {
			if why := s.replayed(ctx, w.Tx); why != nil {
				return s.createdBefore(ctx, w, why)
			}
			if err := s.create(ctx, w, k, e); err != nil {
				return err
			}
			return s.done(ctx, w.Tx, k, &e)
		})
	})
}

// createdBefore is what who repeats an issue hears, by what became of the key.
func (s *Store) createdBefore(ctx context.Context, w *work, why error) error {
	var before *store.ReplayedError
	if !errors.As(why, &before) {
		return why
	}
	rec, err := one(w.QueryContext(ctx, selectKey, []byte(before.KeyID)))
	if err != nil && !errors.Is(err, keys.ErrNotFound) {
		return err
	}
	return cmp.Or(repeated(ctx, why, rec), why)
}

// create writes a key. What can be refused comes first: from the key's row on, any failure
// takes the whole transaction back.
func (s *Store) create(ctx context.Context, w *work, k *keys.Key, e audit.Event) error {
	if len(k.Secrets) == 0 {
		return errors.New("write key: it has no secret, so it cannot be used")
	}
	if err := s.sealed(k); err != nil {
		return err
	}
	if err := w.may(e.Action); err != nil {
		return err
	}
	if err := refuseTaken(ctx, w.Tx, k.Secrets); err != nil {
		return refused(err)
	}
	if err := insertKey(ctx, w.Tx, k); err != nil {
		return refused(err)
	}
	if err := s.writeSecrets(ctx, w, k.ID, nil, k.Secrets, k.Seal.PepperID); err != nil {
		return err
	}
	w.moved(k.ID, 1+len(k.Secrets))
	w.wrote(k, false)
	return s.note(ctx, w, k, e)
}

// note writes the audit row of a change of k, and makes sure that the database knows the
// pepper of its seal.
func (s *Store) note(ctx context.Context, w *work, k *keys.Key, e audit.Event) error {
	if err := w.append(ctx, k.ID, e); err != nil {
		return err
	}
	return s.mayUse(ctx, w, k.Seal.PepperID)
}

// refused marks a conflict that was found before anything was written.
func refused(err error) error {
	if errors.Is(err, keys.ErrConflict) {
		return &store.RefusedError{Reason: err}
	}
	return err
}

// Update implements [store.Store].
func (s *Store) Update(ctx context.Context, id string, change func(*keys.Key) (audit.Event, error)) (*keys.Key, error) {
	for try := 1; ; try++ {
		var k, changed *keys.Key
		err := s.besideImports(ctx, &changed, func() (err error) {
			k, err = s.tryUpdate(ctx, id, func(k *keys.Key) (audit.Event, error) {
				changed = k
				return change(k)
			})
			return err
		})
		switch {
		case err == nil, errors.Is(err, keys.ErrNoChange):
			return k, nil
		case try == 3 || !errors.Is(err, errOtherPeppers) && !errors.Is(err, keys.ErrPepperRetired):
			return nil, err
		}
	}
}

// errOtherPeppers: the row was written with a pepper that came after those of this
// handle. Another try begins with the new ones.
var errOtherPeppers = fmt.Errorf("%w: its peppers are being replaced; try again", keys.ErrUnavailable)

func (s *Store) tryUpdate(ctx context.Context, id string, change func(*keys.Key) (audit.Event, error)) (*keys.Key, error) {
	var unchanged *keys.Key
	var done *written
	revokes := false
	noted := func(k *keys.Key) (audit.Event, error) {
		e, err := change(k)
		revokes = err == nil && e.Action == audit.ActionRevoke
		return e, err
	}
	err := s.urgently(&revokes, func() error {
		return s.write(ctx, func(ctx context.Context, w *work) (err error) {
			unchanged, done, err = s.update(ctx, w, id, noted)
			return err
		})
	})
	if err == nil && done != nil {
		return done.key, nil
	}
	return unchanged, err
}

// update returns the key as it stands with ErrNoChange, and otherwise what was written.
func (s *Store) update(ctx context.Context, w *work, id string, change func(*keys.Key) (audit.Event, error)) (unchanged *keys.Key, done *written, err error) {
	why := s.replayed(ctx, w.Tx)
	w.takesAway = w.takesAway || why != nil // the process that made the change may have ended before it waited
	rec, err := one(w.QueryContext(ctx, selectKey, []byte(id)))
	if why != nil && (err == nil || errors.Is(err, keys.ErrNotFound)) {
		err = repeated(ctx, why, rec)
	}
	if err != nil {
		return nil, nil, err
	}
	if shown, err := s.mayShow(ctx, w, rec.batch); err != nil || !shown {
		return nil, nil, cmp.Or(err, keys.ErrNotFound)
	}
	// A row that cannot be understood comes without a seal and can still be revoked.
	before, unreadable := rec.key()
	after, _ := rec.key()
	if rec.version >= mostSeq { // another program wrote it, and the next would be one too many
		after.Version = 0
	}
	if !s.knows(before) && !s.samePeppers() {
		return nil, nil, errOtherPeppers
	}
	e, err := change(after)
	w.takesAway = w.takesAway || err != nil || unreadable != nil || s.Peppers().CheckSeal(before) != nil || keys.TakesAway(before, after)
	if errors.Is(err, keys.ErrNoChange) && store.OnceFrom(ctx) != nil {
		return before, nil, s.done(ctx, w.Tx, before, nil)
	}
	if err != nil {
		return before, nil, err
	}
	for i := range rec.secrets {
		if !rec.secrets[i].readable() { // it is written whole
			before.Secrets[i] = keys.KeySecret{Number: before.Secrets[i].Number}
		}
	}
	if err := s.sealed(after); err != nil {
		return nil, nil, err
	}
	if err := w.may(e.Action); err != nil {
		return nil, nil, err
	}
	if err := updateKey(ctx, w.Tx, rec.version, before, after); err != nil {
		return nil, nil, refused(w.because(err))
	}
	if err := s.writeSecrets(ctx, w, id, before.Secrets, after.Secrets, after.Seal.PepperID); err != nil {
		return nil, nil, err
	}
	if err := s.supersede(ctx, w.Tx, id, before.Secrets, after.Secrets, e.At); err != nil {
		return nil, nil, err
	}
	w.moved(id, 1+secretsMoved(before.Secrets, after.Secrets))
	done = w.wrote(after, true)
	if w.takesAway {
		e = e.WithLease(feed.Lease)
	}
	if err := s.note(ctx, w, after, e); err != nil {
		return nil, nil, err
	}
	return nil, done, s.done(ctx, w.Tx, after, &e)
}

// Record implements [store.Store].
func (s *Store) Record(ctx context.Context, e audit.Event) error {
	return s.write(ctx, func(ctx context.Context, w *work) error { return w.append(ctx, "", e) })
}

// write runs one change to its end, whatever becomes of ctx once it is its turn. What is
// written is read back before it is committed.
//
// It waits outside the gate: what waits inside keeps out who shuts it, to take over another
// pepper file say, and that one keeps out every check. A ctx that ends shortens only the wait
// for guards on other hosts.
func (s *Store) write(ctx context.Context, change func(context.Context, *work) error) error {
	if err := s.followPeppers(ctx); err != nil {
		return err
	}
	if err := s.inPlace(); err != nil {
		return err
	}
	told, err := s.inTurn(ctx, change)
	if told == nil {
		return err
	}
	if told.counter != nil { // others may write now
		told.counter.settle()
	}
	if told.takesAway {
		if err := s.spread(ctx, told); err != nil {
			return err
		}
	}
	return err
}

// told is a change that was announced.
type told struct {
	*work
	counter  *counter // nil where there are no shared pages
	position uint64   // of the database after the commit
	since    time.Time
}

// inTurn runs one change and announces it, when it is this one's turn. Nothing else of
// mcpkeys writes between the look at the place of the files and the announcement: see
// position.go. When done is not nil the change is over only after what write does then.
func (s *Store) inTurn(ctx context.Context, change func(context.Context, *work) error) (done *told, err error) {
	free, err := s.lock.take(ctx)
	if err != nil {
		return nil, err
	}
	defer free() // Close waits for it
	ctx = context.WithoutCancel(ctx)
	tx, err := begin(ctx, s.writer)
	if err != nil {
		return nil, s.lock.orHolder(err)
	}
	if err := s.gate.enter(); err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	defer s.gate.leave()
	done = &told{}
	err = s.lock.orHolder(s.inWork(ctx, tx, func(w *work) error {
		done.work = w
		return change(ctx, w)
	}))
	if err != nil && !succeeded(err) {
		return nil, err
	}
	if unannounced := s.announce(ctx, done); unannounced != nil {
		return nil, unannounced
	}
	// Not from the commit: until the announcement a server may grant leases without having seen
	// the change, because it looks at the database only when the epoch has moved.
	done.since = clock()
	return done, err
}

// succeeded reports whether the caller will hear of a success, or that there was one
// before: the process that made the change may have died before it announced it.
func succeeded(err error) bool {
	var before *store.ReplayedError
	return err == nil || errors.Is(err, keys.ErrNoChange) || errors.As(err, &before)
}

// announce tells every process of what was committed. It is called also when there was
// nothing to change: the process that made the change may have died between its
// commit and this. Its error is a [store.WrittenError] only where the change is in what
// all others have open, and else a [store.MayBeLostError].
func (s *Store) announce(ctx context.Context, done *told) error {
	if err := s.written.checkFiles(); err != nil {
		return &store.MayBeLostError{Cause: err}
	}
	now, err := s.committed(ctx)
	if err != nil {
		return &store.MayBeLostError{Cause: err}
	}
	if err = refuseShared(s.epoch.path); err == nil {
		done.counter, err = s.epoch.tell(now)
	}
	switch {
	case errors.Is(err, errOtherPage): // the page was given to another database meanwhile
		return &store.MayBeLostError{Cause: err}
	case err != nil:
		return store.NotAnnounced(err)
	}
	done.position = now.word
	return nil
}

// begin begins a transaction. It waits for a program that writes and takes no turns.
func begin(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	tx, err := db.BeginTx(ctx, nil)
	return tx, unavailable("begin", err)
}

// inTx commits what do did, or rolls it back when do fails or panics.
func inTx(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := begin(ctx, db)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit there is nothing left to roll back
	if err := do(tx); err != nil {
		return err
	}
	return unavailable("commit", tx.Commit())
}

// exactlyOne refuses a statement that touched no row, or more than its own: a
// condition that went wrong once deleted every key of a comparable service.
func exactlyOne(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n != 1 {
		err = fmt.Errorf("%d rows touched instead of one", n)
	}
	return err
}
