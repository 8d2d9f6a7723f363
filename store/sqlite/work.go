package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/mcpkeys/mcpkeys/keys"
)

// work is a write transaction, and what must stand in the database when it is over. The
// shape and the numbers are read when it begins. What was written is read back once,
// after the last statement, by check; between that and the commit nothing runs, so that
// no trigger that somebody planted can undo a change which was found good. Callers who
// share a transaction share its work.
type work struct {
	*sql.Tx
	store  *Store
	before numbers
	beside error // an [keys.AlteredError]: of objects that are not ours, beside all of ours

	wanted
}

// wanted is what a transaction is to come to. Its lists only grow, so that a change that
// is taken back is forgotten by cutting them.
type wanted struct {
	moves int64      // rows of keys and secrets that were written: each is an event
	rows  []auditRow // that were appended, oldest first
	keys  []*written
}

type auditRow struct {
	seq  int64
	hash []byte
}

// written is a key as it was written.
type written struct {
	id   string
	seal []byte
	keep bool      // somebody wants to see it
	key  *keys.Key // as it was read back, if it is to be kept
}

// inWork runs one change in a transaction of its own.
func (s *Store) inWork(ctx context.Context, change func(*work) error) error {
	return inTx(ctx, s.writer, func(tx *sql.Tx) error {
		w, err := s.newWork(ctx, tx)
		if err != nil {
			return err
		}
		if err := change(w); err != nil {
			return err
		}
		return w.check(ctx)
	})
}

// beginWork begins a transaction that the caller ends.
func (s *Store) beginWork(ctx context.Context) (*work, error) {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return nil, unavailable("begin", err)
	}
	w, err := s.newWork(ctx, tx)
	if err != nil {
		_ = tx.Rollback() // nothing was written
		return nil, err
	}
	return w, nil
}

// newWork begins the work of a transaction that has just begun.
func (s *Store) newWork(ctx context.Context, tx *sql.Tx) (*work, error) {
	n, err := s.mayChange(func() (numbers, error) { return s.changeable(ctx, tx) })
	if err != nil {
		return nil, err
	}
	return &work{Tx: tx, store: s, before: n, beside: s.writerWatch.altered()}, nil
}

// changeable reads the numbers of a store in which all of ours is as mcpkeys left it.
func (s *Store) changeable(ctx context.Context, tx *sql.Tx) (numbers, error) {
	n, err := numbersOf(ctx, tx)
	if err != nil {
		return n, err
	}
	if s.writerWatch.stale(n.shape) {
		if err := s.parseAnew(ctx, tx); err != nil {
			return n, err
		}
	}
	if beside := s.writerWatch.altered(); beside != nil && !s.writerWatch.known.Load().whole() {
		return n, beside
	}
	return n, n.altered(s.Peppers().Store())
}

// parseAnew makes sure that the transaction works by the schema that is compared.
func (s *Store) parseAnew(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, parseAnew); err != nil {
		return unavailable("read schema", err)
	}
	found, err := readShape(ctx, tx)
	if err != nil {
		return err
	}
	s.writerWatch.see(found)
	return nil
}

// may refuses a change of a store that holds what mcpkeys did not make, unless it takes
// something away: that works as long as it holds.
func (w *work) may(action keys.Action) error {
	if action == keys.ActionRevoke || action == keys.ActionDisable {
		return nil
	}
	return w.beside
}

// moved notes that n rows of keys and secrets were written.
func (w *work) moved(n int) { w.moves += int64(n) }

// wrote notes the key as it must stand.
func (w *work) wrote(k *keys.Key, keep bool) *written {
	one := &written{id: k.ID, seal: bytes.Clone(k.Seal.MAC), keep: keep}
	w.keys = append(w.keys, one)
	return one
}

// append writes the audit row of something that was done.
func (w *work) append(ctx context.Context, id string, e keys.Event) error {
	if err := w.may(e.Action); err != nil {
		return err
	}
	return w.appendAny(ctx, id, e)
}

func (w *work) appendAny(ctx context.Context, id string, e keys.Event) error {
	linked, err := appendEvent(ctx, w.Tx, id, e)
	if err == nil {
		w.rows = append(w.rows, auditRow{linked.Seq, linked.Hash})
	}
	return err
}

// mark and forget take back what a change wanted that was rolled back.
func (w *work) mark() wanted { return w.wanted }

func (w *work) forget(since wanted) { w.wanted = since }

// check reads back what was written, as the last thing before the commit.
func (w *work) check(ctx context.Context) error {
	for _, look := range []func(context.Context) (bool, error){w.numbersStand, w.eventsStand, w.rowsStand, w.keysStand} {
		stands, err := look(ctx)
		if err != nil {
			return err
		}
		if !stands {
			return w.undone()
		}
	}
	return nil
}

// undone is what somebody hears whose change did not survive being written.
func (w *work) undone() error {
	e := &keys.AlteredError{What: "what was written does not stand in it as it was written, so nothing was changed", Fix: "run 'keyctl doctor', and restore a backup"}
	if known := w.store.writerWatch.known.Load(); len(known.strange) > 0 {
		e.What, e.Fix = known.naming()+", and the change did not survive it, so nothing was changed", known.advice()
	}
	return e
}

// because says of a change that failed, where something foreign may have made it fail,
// what that is.
func (w *work) because(err error) error {
	if err == nil || w.beside == nil || errors.Is(err, keys.ErrConflict) {
		return err
	}
	return w.undone()
}

func (w *work) numbersStand(ctx context.Context) (bool, error) {
	now, err := numbersOf(ctx, w.Tx)
	if err != nil {
		return false, err
	}
	last := auditRow{w.before.audit.Int64, w.before.hash}
	if n := len(w.rows); n > 0 {
		last = w.rows[n-1]
	}
	was, err := w.before.standing()
	if err != nil {
		return false, err
	}
	stands, err := now.standing()
	return err == nil && stands == standing{was.id, was.word + uint64(w.moves)} && now.generation == w.before.generation && //nolint:gosec // rows are counted up
		now.shape == w.before.shape && now.odd(w.store.Peppers().Store()) == "" &&
		now.audit.Int64 == last.seq && bytes.Equal(now.hash, last.hash), nil
}

// eventsStand makes sure that the feed tells of each row that was written, and of no
// other.
func (w *work) eventsStand(ctx context.Context) (bool, error) {
	if w.moves == 0 {
		return true, nil
	}
	rows, err := w.QueryContext(ctx, `SELECT seq, key_id FROM events WHERE seq > ? ORDER BY seq`, w.before.changeSeq())
	if err != nil {
		return false, unavailable("read events", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err reports it
	left := map[string]bool{}
	for _, one := range w.keys {
		left[one.id] = true
	}
	known, told := len(left), map[string]bool{}
	next := w.before.changeSeq()
	for rows.Next() {
		var seq int64
		var id []byte
		if err := rows.Scan(&seq, &id); err != nil {
			return false, unavailable("read events", err)
		}
		if next++; seq != next || !left[string(id)] {
			return false, nil
		}
		told[string(id)] = true
	}
	return next == w.before.changeSeq()+w.moves && len(told) == known, unavailable("read events", rows.Err())
}

func (w *work) rowsStand(ctx context.Context) (bool, error) {
	rows, err := w.QueryContext(ctx, `SELECT seq, hash FROM audit WHERE seq > ? ORDER BY seq`, w.before.audit.Int64)
	if err != nil {
		return false, unavailable("read audit", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err reports it
	found := 0
	for rows.Next() {
		var row auditRow
		if err := rows.Scan(&row.seq, &row.hash); err != nil {
			return false, unavailable("read audit", err)
		}
		if found == len(w.rows) || row.seq != w.rows[found].seq || !bytes.Equal(row.hash, w.rows[found].hash) {
			return false, nil
		}
		found++
	}
	return found == len(w.rows), unavailable("read audit", rows.Err())
}

// keysStand reads each key back, as it was written last.
func (w *work) keysStand(ctx context.Context) (bool, error) {
	read := map[string]*record{}
	for _, of := range slices.Backward(w.keys) {
		rec, again := read[of.id]
		if !again {
			var err error
			if rec, err = w.readBack(ctx, of); err != nil || rec == nil {
				return false, err
			}
			read[of.id] = rec
		}
		if of.keep {
			of.key, _ = rec.key() // it could be read before
		}
	}
	return true, nil
}

// readBack returns the key's rows if they stand as they were sealed, and nil otherwise.
func (w *work) readBack(ctx context.Context, of *written) (*record, error) {
	rec, err := one(w.QueryContext(ctx, selectKey, []byte(of.id)))
	switch {
	case errors.Is(err, keys.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	k, err := rec.key()
	if err != nil || w.store.Peppers().CheckSeal(k) != nil || !bytes.Equal(k.Seal.MAC, of.seal) {
		return nil, nil
	}
	return rec, nil
}

// sealed refuses a key that is not sealed as it is, before it is written: it would be
// refused at every check.
func (s *Store) sealed(k *keys.Key) error {
	peppers := s.Peppers()
	if k.Seal.PepperID != "" && !peppers.Has(k.Seal.PepperID) {
		return keys.ErrPepperRetired
	}
	if peppers.CheckSeal(k) != nil {
		return errors.New("write key: it is not sealed as it would be stored; seal it after the last change")
	}
	return nil
}
