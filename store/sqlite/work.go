package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

// work is a write transaction, and what the database must contain at its end. The shape and
// the numbers are read when it begins. After the last statement check reads back what was
// written; nothing runs between that and the commit, so that a planted trigger cannot undo a
// checked change.
type work struct {
	*sql.Tx
	store  *Store
	before numbers
	beside error // a [feed.AlteredError]: objects that mcpkeys did not make, though none of its own is missing

	takesAway bool        // a guard may accept what the change refuses, until it knows
	newest    audit.Event // that was appended

	// What the transaction is to come to.
	moves   int64           // rows of keys, secrets and batches that were written: each is an event
	told    map[string]bool // whose ids the events name
	rows    []auditRow      // that were appended, oldest first
	keys    []*written
	gone    [][]byte // ids of keys that were removed
	batches []batchRow
}

type auditRow struct {
	seq  int64
	hash []byte
}

// written is a key as it was written.
type written struct {
	id   string
	seal []byte
	keep bool      // the caller wants it
	key  *keys.Key // as it was read back, if it is to be kept
}

// batchRow is a batch as it was written; without a seal it was removed.
type batchRow struct{ id, seal []byte }

// inWork runs one change in a transaction that has just begun, and commits it, or rolls it
// back when the change fails or panics.
func (s *Store) inWork(ctx context.Context, tx *sql.Tx, change func(*work) error) error {
	defer func() { _ = tx.Rollback() }() // after a commit there is nothing left to roll back
	w, err := s.newWork(ctx, tx)
	if err != nil {
		return err
	}
	if err := w.trimEvents(ctx, s.usage.now()); err != nil {
		return err
	}
	if err := change(w); err != nil {
		return err
	}
	if err := w.check(ctx); err != nil {
		return err
	}
	return unavailable("commit", tx.Commit())
}

// newWork begins the work of a transaction that has just begun.
func (s *Store) newWork(ctx context.Context, tx *sql.Tx) (*work, error) {
	n, err := s.mayChange(func() (numbers, error) { return s.changeable(ctx, tx) })
	if err != nil {
		return nil, err
	}
	return &work{Tx: tx, store: s, before: n, beside: s.writerWatch.altered(), told: map[string]bool{}}, nil
}

// changeable reads the numbers of a store, and refuses one whose own objects were changed.
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

// may refuses a change to a store with objects that mcpkeys did not make, unless it revokes
// or disables; check then makes sure that the change is kept.
func (w *work) may(action audit.Action) error {
	if action == audit.ActionRevoke || action == audit.ActionDisable {
		return nil
	}
	return w.beside
}

// moved notes that n rows of the key or batch were written.
func (w *work) moved(id string, n int) {
	w.moves += int64(n)
	w.told[id] = true
}

// removed notes that n rows of a key were removed, and that none is left.
func (w *work) removed(id []byte, n int) {
	w.moved(string(id), n)
	w.gone = append(w.gone, bytes.Clone(id))
}

// wroteBatch notes the batch as it must stand.
func (w *work) wroteBatch(b *pepper.Batch) {
	w.batches = append(w.batches, batchRow{bytes.Clone(b.ID), bytes.Clone(b.Seal.MAC)})
}

// removedBatch notes that no row of the batch may be left.
func (w *work) removedBatch(id []byte) { w.batches = append(w.batches, batchRow{id: bytes.Clone(id)}) }

// wrote notes the key as it must stand.
func (w *work) wrote(k *keys.Key, keep bool) *written {
	one := &written{id: k.ID, seal: bytes.Clone(k.Seal.MAC), keep: keep}
	w.keys = append(w.keys, one)
	return one
}

// append writes the audit row of something that was done.
func (w *work) append(ctx context.Context, id string, e audit.Event) error {
	if err := w.may(e.Action); err != nil {
		return err
	}
	return w.appendAny(ctx, id, e)
}

func (w *work) appendAny(ctx context.Context, id string, e audit.Event) error {
	linked, err := appendEvent(ctx, w.Tx, id, e)
	if err == nil {
		w.rows, w.newest = append(w.rows, auditRow{linked.Seq, linked.Hash}), linked
	}
	return err
}

// check reads back what was written, as the last thing before the commit.
func (w *work) check(ctx context.Context) error {
	for _, look := range []func(context.Context) (bool, error){w.numbersStand, w.eventsStand, w.rowsStand, w.keysStand, w.goneStand, w.batchesStand} {
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

// undone is the error of a change that the database did not keep as written.
func (w *work) undone() error {
	e := &feed.AlteredError{What: "it did not keep a change as it was written, so nothing was changed", Fix: "run 'keyctl doctor', and restore a backup"}
	if known := w.store.writerWatch.known.Load(); len(known.strange) > 0 {
		e.What, e.Fix = known.naming()+", and the change did not survive it, so nothing was changed", known.advice()
	}
	return e
}

// because adds to the error of a failed change the foreign objects that may be the cause.
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
		now.shape == w.before.shape && now.odd(w.store.Peppers().Store(), maxSeq) == "" &&
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
	told := map[string]bool{}
	next := w.before.changeSeq()
	for rows.Next() {
		var seq int64
		var id []byte
		if err := rows.Scan(&seq, &id); err != nil {
			return false, unavailable("read events", err)
		}
		if next++; seq != next || !w.told[string(id)] {
			return false, nil
		}
		told[string(id)] = true
	}
	return next == w.before.changeSeq()+w.moves && len(told) == len(w.told), unavailable("read events", rows.Err())
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

// goneStand makes sure that nothing is left of the keys that were removed.
func (w *work) goneStand(ctx context.Context) (bool, error) {
	for _, id := range w.gone {
		_, err := one(w.QueryContext(ctx, selectKey, id))
		if !errors.Is(err, keys.ErrNotFound) {
			return false, err
		}
	}
	return true, nil
}

// batchesStand reads each batch back, as it was written last.
func (w *work) batchesStand(ctx context.Context) (bool, error) {
	read := map[string]bool{}
	for _, of := range slices.Backward(w.batches) {
		if read[string(of.id)] {
			continue
		}
		read[string(of.id)] = true
		b, err := readBatch(ctx, w, of.id)
		gone := errors.Is(err, sql.ErrNoRows)
		switch {
		case err != nil && !gone:
			return false, unavailable("read import", err)
		case gone != (of.seal == nil):
			return false, nil
		case !gone && (w.store.Peppers().CheckBatch(&b) != nil || !bytes.Equal(b.Seal.MAC, of.seal)):
			return false, nil
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
		return nil, nil //nolint:nilerr // it does not stand
	}
	return rec, nil
}

// sealed refuses to write a key whose seal does not match, because every check would refuse
// it.
func (s *Store) sealed(k *keys.Key) error {
	peppers := s.Peppers()
	if k.Seal.PepperID != "" && !peppers.Has(k.Seal.PepperID) {
		return keys.ErrPepperRetired
	}
	if peppers.CheckSeal(k) != nil {
		return errors.New("write key: its seal does not match; seal it after the last change")
	}
	return nil
}
