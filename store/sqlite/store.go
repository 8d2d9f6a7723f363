package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Store is a [Reader] that can also change keys. It is safe for concurrent use;
// changes take turns, also with those of other processes.
type Store struct {
	*Reader
	lock    *fairLock // of those who write
	writer  *sql.DB
	written fileID // what writer has open; the Reader may go on to another file, writer does not
}

var _ keys.Store = (*Store)(nil)

// Close implements [keys.Reader]. The writer goes last, so that it can move the log
// into the database.
func (s *Store) Close() error {
	if !s.gate.shut() {
		return nil
	}
	s.epoch.close()
	s.lock.close()
	return errors.Join(s.usage.close(), s.db.Close(), s.writer.Close())
}

// Create implements [keys.Store].
func (s *Store) Create(ctx context.Context, k *keys.Key, e keys.Event) error {
	return s.besideImports(ctx, &k, func() error {
		return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error { return s.create(ctx, tx, k, e) })
	})
}

func (s *Store) create(ctx context.Context, tx *sql.Tx, k *keys.Key, e keys.Event) error {
	if len(k.Secrets) == 0 {
		return errors.New("write key: it has no secret, so nobody could use it")
	}
	if err := refuseTaken(ctx, tx, k.Secrets); err != nil {
		return err
	}
	if err := insertKey(ctx, tx, k); err != nil {
		return err
	}
	if err := s.writeSecrets(ctx, tx, k.ID, nil, k.Secrets, k.Seal.PepperID); err != nil {
		return err
	}
	if err := appendEvent(ctx, tx, k.ID, e); err != nil {
		return err
	}
	_, err := s.confirm(ctx, tx, k)
	return err
}

// Update implements [keys.Store].
func (s *Store) Update(ctx context.Context, id string, change func(*keys.Key) (keys.Event, error)) (*keys.Key, error) {
	for try := 1; ; try++ {
		var k, changed *keys.Key
		err := s.besideImports(ctx, &changed, func() (err error) {
			k, err = s.tryUpdate(ctx, id, func(k *keys.Key) (keys.Event, error) {
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

func (s *Store) tryUpdate(ctx context.Context, id string, change func(*keys.Key) (keys.Event, error)) (*keys.Key, error) {
	var result *keys.Key
	revokes := false
	noted := func(k *keys.Key) (keys.Event, error) {
		e, err := change(k)
		revokes = err == nil && e.Action == keys.ActionRevoke
		return e, err
	}
	err := s.urgently(&revokes, func() error {
		return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
			result, err = s.update(ctx, tx, id, noted)
			return err
		})
	})
	return result, err
}

// update returns the key as it stands in the end, also with ErrNoChange.
func (s *Store) update(ctx context.Context, tx *sql.Tx, id string, change func(*keys.Key) (keys.Event, error)) (*keys.Key, error) {
	rec, err := one(tx.QueryContext(ctx, selectKey, []byte(id)))
	if err != nil {
		return nil, err
	}
	if shown, err := s.mayShow(ctx, tx, rec.batch); err != nil || !shown {
		return nil, cmp.Or(err, keys.ErrNotFound)
	}
	// A row that cannot be understood comes without a seal and can still be revoked.
	before, _ := rec.key()
	after, _ := rec.key()
	if !s.knows(before) && !s.samePeppers() {
		return nil, errOtherPeppers
	}
	e, err := change(after)
	if err != nil {
		return before, err
	}
	if err := updateKey(ctx, tx, before, after); err != nil {
		return nil, err
	}
	if err := s.writeSecrets(ctx, tx, id, before.Secrets, after.Secrets, after.Seal.PepperID); err != nil {
		return nil, err
	}
	if err := appendEvent(ctx, tx, id, e); err != nil {
		return nil, err
	}
	return s.confirm(ctx, tx, after)
}

// Record implements [keys.Store].
func (s *Store) Record(ctx context.Context, e keys.Event) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error { return appendEvent(ctx, tx, "", e) })
}

// confirm reads back what was written, as the last thing before the commit, and
// refuses it unless it is exactly what was to be written: its seal fits, and is the
// seal of wanted. A key that somebody forgot to seal, or that does not survive being
// stored, would be dead for ever; and a trigger that somebody planted in the database
// could put an older row, with its own good seal, in the place of a revoked one.
func (s *Store) confirm(ctx context.Context, tx *sql.Tx, wanted *keys.Key) (*keys.Key, error) {
	rec, err := one(tx.QueryContext(ctx, selectKey, []byte(wanted.ID)))
	if err != nil {
		return nil, err
	}
	if !s.Peppers().Has(wanted.Seal.PepperID) && wanted.Seal.PepperID != "" {
		return nil, keys.ErrPepperRetired
	}
	k, err := rec.key()
	if err == nil {
		err = s.Peppers().CheckSeal(k)
	}
	if err != nil {
		return nil, errors.New("write key: it is not sealed as it would be stored; seal it after the last change")
	}
	if !bytes.Equal(k.Seal.MAC, wanted.Seal.MAC) {
		return nil, fmt.Errorf("%w: something in the database undoes changes; look for triggers that are not ours", keys.ErrUnavailable)
	}
	return k, s.mayUse(ctx, tx, k.Seal.PepperID)
}

// write runs one change to its end, whatever becomes of ctx.
func (s *Store) write(ctx context.Context, change func(context.Context, *sql.Tx) error) error {
	if err := s.followPeppers(ctx); err != nil {
		return err
	}
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	if err := s.inPlace(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	return s.announced(s.lock.inTurn(ctx, s.writer, func(tx *sql.Tx) error { return change(ctx, tx) }))
}

// announced announces what succeeded, and returns how the change then ended.
func (s *Store) announced(err error) error {
	if err != nil && !errors.Is(err, keys.ErrNoChange) {
		return err
	}
	if unannounced := s.announce(); unannounced != nil {
		return unannounced
	}
	return err
}

// announce tells every process of what was committed. It is called also when there was
// nothing to change: the process that made the change may have died between its
// commit and this.
func (s *Store) announce() error {
	// What was committed to a file that has lost its place meanwhile is lost as well.
	if err := s.inPlace(); err != nil {
		return err
	}
	if err := s.epoch.bump(); err != nil {
		return fmt.Errorf("tell other processes: %w: %w", keys.ErrUnavailable, err)
	}
	return nil
}

// inPlace refuses to write to a database that others cannot find any more.
func (s *Store) inPlace() error {
	if file, err := identify(s.path); err != nil || file != s.written {
		return fmt.Errorf("%w: another file has taken the place of %s; start this program again", keys.ErrUnavailable, s.path)
	}
	return nil
}

// inTx commits what do did, or rolls it back when do fails or panics.
func inTx(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return unavailable("begin", err)
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
