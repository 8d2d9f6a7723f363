package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/store"
)

// Many keys are written in parts, each in a short transaction of its own, because other
// writers wait for each. The keys of all parts name one batch, and no query finds them
// until the row of the batch says, under its seal, since when it is valid. That row is
// written last, so the keys become valid in one commit.
//
// What a killed import leaves behind is removed by the next import, and by a change that
// wants the name or token of such a key. Only one import runs at a time: the holder of
// its lock knows that every other unfinished batch was left behind. So is a batch whose
// seal does not match: its keys cannot be found, and would keep their names and tokens
// permanently. Keys that were revoked, or whose token a rotation ended, are not removed, or
// another import could bring those tokens back.

const (
	partMost = 500                   // keys are taken from their source before the lock is
	partTime = 40 * time.Millisecond // how long a part writes before it commits
)

// finished holds for a key k that is in no batch, or in a valid one. That the seal of the
// batch fits is looked at in Go: see [Reader.mayShow].
const finished = `(k.batch IS NULL OR k.batch IN (SELECT id FROM batches WHERE valid_at IS NOT NULL))`

// validBatches are those whose rows were read and found valid, which they stay in one
// incarnation of the database: a restore gives it another epoch id, which the page tells.
// It is emptied when the feed loses its place.
type validBatches struct{ ids sync.Map }

type validBatch struct {
	epoch epochID
	id    string
}

func (v *validBatches) forget() { v.ids.Clear() }

// mayShow reports whether a key of the batch may be found. Batch is nil for a key of none.
func (r *Reader) mayShow(ctx context.Context, db querier, batch []byte) (bool, error) {
	if batch == nil {
		return true, nil
	}
	page, unknown := r.epoch.standing() // before the row: what is found now may be of the next one
	key := validBatch{page.id, string(batch)}
	keep := unknown == nil && page.id != epochID{}
	if _, ok := r.batches.ids.Load(key); ok && keep {
		return true, nil
	}
	b, err := readBatch(ctx, db, batch)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, unavailable("read import", err)
	}
	valid, err := r.isValid(&b)
	if valid && keep {
		r.batches.ids.Store(key, true)
	}
	return valid, err
}

// isValid reports whether the row says so, under its seal.
func (r *Reader) isValid(b *pepper.Batch) (bool, error) {
	switch {
	case b.ValidAt.IsZero():
		return false, nil
	case !r.Peppers().Has(b.Seal.PepperID) && !r.samePeppers():
		return false, errOtherPeppers
	}
	return r.Peppers().CheckBatch(b) == nil, nil
}

// withPeppers does do, and once more if that needs peppers that came meanwhile. It is
// called outside the gate.
func (r *Reader) withPeppers(ctx context.Context, do func() error) error {
	err := do()
	if !errors.Is(err, errOtherPeppers) {
		return err
	}
	if err := r.followPeppers(ctx); err != nil {
		return err
	}
	return do()
}

func readBatch(ctx context.Context, db querier, id []byte) (pepper.Batch, error) {
	var startedAt int64
	var validAt sql.NullInt64
	b := pepper.Batch{ID: id, Seal: keys.Seal{Format: 1}}
	err := db.QueryRowContext(ctx, `SELECT started_at, actor, valid_at, seal_pepper, seal FROM batches WHERE id = ?`, id).
		Scan(&startedAt, &b.Actor, &validAt, &b.Seal.PepperID, &b.Seal.MAC)
	b.StartedAt, b.ValidAt = instant(startedAt), maybeInstant(validAt)
	return b, err
}

// CreateAll implements [store.Store].
func (s *Store) CreateAll(ctx context.Context, n store.NewKeys, all iter.Seq2[*keys.Key, audit.Event]) (err error) {
	if err := s.gate.refuseShut(); err != nil {
		return err
	}
	unlock, err := s.lockImports()
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.removeUnfinished(ctx); err != nil {
		return err
	}
	w := &batchWriter{Store: s, new: n}
	err = w.all(ctx, all)
	if err == nil {
		err = w.judge()
	}
	if err == nil {
		err = w.finish(ctx)
	}
	if err != nil { // if that fails too, the next import does it
		_ = s.removeUnfinished(context.WithoutCancel(ctx))
	}
	return err
}

// importPath is the file whose lock the one import that runs has.
func importPath(database string) string { return database + "-import" }

// lockImports keeps other imports from starting, until unlock is called.
func (s *Store) lockImports() (unlock func(), err error) {
	path := importPath(s.path)
	f := openLock(path)
	switch {
	case f == nil && canShare:
		// Writers of single changes continue without their lock. Here a running import
		// would look like a killed one.
		return nil, fmt.Errorf("%w: this user may not open %s, so it is unknown whether an import is running; run as the user that owns the file, or remove it if no import is running", keys.ErrUnavailable, path)
	case f == nil:
		return func() {}, nil // there are no locks on this system
	}
	f.like(s.path)
	switch {
	case !f.tryLock() || !f.isAt(path):
		f.close()
		return nil, keys.ErrImporting
	}
	return f.close, nil
}

// batchWriter writes one batch.
type batchWriter struct {
	*Store
	new        store.NewKeys
	batch      pepper.Batch
	begun      bool // its row is there
	generation any  // of the key store in which it began
	written    int
	refused    error // the first refusal
}

// newKey is a key on its way into the store.
type newKey struct {
	key   *keys.Key
	event audit.Event
}

// all takes keys from their source outside the lock, and writes them in parts.
func (w *batchWriter) all(ctx context.Context, all iter.Seq2[*keys.Key, audit.Event]) error {
	var part []newKey
	for k, e := range all {
		if part = append(part, newKey{k, e}); len(part) < partMost {
			continue
		}
		if err := w.part(ctx, part); err != nil {
			return err
		}
		part = part[:0]
	}
	return w.part(ctx, part)
}

// part writes in as many transactions as it takes.
func (w *batchWriter) part(ctx context.Context, part []newKey) error {
	for len(part) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := w.slice(ctx, part)
		if err != nil {
			return err
		}
		part = part[n:]
	}
	return nil
}

// errTried rolls back a transaction that was only a trial.
var errTried = errors.New("it was only tried")

// slice writes the first of part, until its time is over, and returns how many it took.
func (w *batchWriter) slice(ctx context.Context, part []newKey) (n int, err error) {
	vain, wrote := w.vain(), 0
	err = w.writePart(ctx, func(ctx context.Context, tx *work) error {
		began := time.Now() //nolint:forbidigo // only its monotonic reading is used
		if err := w.begin(ctx, tx); err != nil {
			return err
		}
		for _, one := range part {
			if n > 0 && time.Since(began) > partTime {
				break
			}
			err := w.create(ctx, tx, one.key, one.event)
			if err != nil && !isRefused(err) {
				return err
			}
			if n++; err == nil {
				wrote++
			}
			w.tell(one.key, err)
		}
		if vain = vain || wrote == 0 || w.vain(); vain {
			return errTried
		}
		return nil
	})
	if err != nil && !errors.Is(err, errTried) {
		return 0, err
	}
	w.begun = w.begun || !vain
	return n, nil
}

// writePart is write for rows that no query finds yet. It ignores a failed announcement,
// because the import as a whole is not written yet.
func (s *Store) writePart(ctx context.Context, part func(context.Context, *work) error) error {
	err := s.write(ctx, part)
	var written *store.WrittenError
	var lost *store.MayBeLostError
	switch {
	case errors.As(err, &written):
		return fmt.Errorf("%w: %w", keys.ErrUnavailable, written.Cause)
	case errors.As(err, &lost):
		return fmt.Errorf("%w: %w", keys.ErrUnavailable, lost.Cause)
	}
	return err
}

// isRefused reports whether err is a refusal of which nothing was written.
func isRefused(err error) bool {
	var refused *store.RefusedError
	return errors.As(err, &refused)
}

func (w *batchWriter) tell(k *keys.Key, refused error) {
	if refused == nil {
		w.written++
	} else if w.refused == nil {
		w.refused = refused
	}
	if w.new.Told != nil {
		w.new.Told(k, refused)
	}
}

// vain reports whether nothing will come of the batch.
func (w *batchWriter) vain() bool {
	if w.new.Vain != nil {
		return w.new.Vain()
	}
	return w.new.Judge == nil && w.refused != nil
}

func (w *batchWriter) judge() error {
	if w.new.Judge != nil {
		return w.new.Judge()
	}
	return w.refused
}

// begin writes the row of the batch, which is not valid yet. If that was done before it
// makes sure that the row is still there.
func (w *batchWriter) begin(ctx context.Context, tx *work) error {
	if w.begun {
		return w.stillThere(ctx, tx)
	}
	w.batch = pepper.Batch{ID: w.new.Batch, StartedAt: instant(micros(w.usage.now())), Actor: string(w.new.Actor)}
	b := &w.batch
	w.Peppers().SealBatch(b)
	_, err := tx.ExecContext(ctx, `INSERT INTO batches (id, started_at, actor, valid_at, seal_pepper, seal) VALUES (?, ?, ?, NULL, ?, ?)`,
		b.ID, micros(b.StartedAt), b.Actor, b.Seal.PepperID, b.Seal.MAC)
	if err != nil {
		return unavailable("begin import", err)
	}
	tx.wroteBatch(b)
	w.generation = tx.before.generation
	return w.mayUse(ctx, tx, b.Seal.PepperID)
}

// What keeps a batch from becoming valid whose keys were written.
var (
	errReplaced = keys.Conflict("'keyctl restore' or 'keyctl doctor --fix' replaced the key store during the import, so nothing was imported; import again")
	errRemoved  = keys.Conflict("another program changed the imported keys during the import, so nothing was imported; import again")
)

// stillThere refuses to continue in another key store than the one in which the batch began.
// A backup made during the import has the batch, but not all of its keys.
func (w *batchWriter) stillThere(ctx context.Context, tx *work) error {
	if tx.before.generation != w.generation {
		return errReplaced
	}
	b, err := readBatch(ctx, tx, w.batch.ID)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && !b.ValidAt.IsZero():
		return errRemoved
	case err != nil:
		return unavailable("read import", err)
	}
	return nil
}

// allThere refuses to make a batch valid that is not what was written.
func (w *batchWriter) allThere(ctx context.Context, tx *work) error {
	if err := w.stillThere(ctx, tx); err != nil {
		return err
	}
	var there int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM keys WHERE batch = ?`, w.batch.ID).Scan(&there); err != nil {
		return unavailable("read import", err)
	}
	if there != w.written {
		return errRemoved
	}
	return nil
}

// finish makes the batch valid.
func (w *batchWriter) finish(ctx context.Context) error {
	if w.written == 0 {
		if w.begun { // all were refused
			return w.removeUnfinished(ctx)
		}
		return nil
	}
	e, err := w.new.Done(w.written)
	if err != nil {
		return err
	}
	return w.write(ctx, func(ctx context.Context, tx *work) error {
		if err := w.allThere(ctx, tx); err != nil {
			return err
		}
		b := w.batch
		b.ValidAt = instant(micros(w.usage.now()))
		w.Peppers().SealBatch(&b)
		if err := w.mayUse(ctx, tx, b.Seal.PepperID); err != nil {
			return err
		}
		if err := exactlyOne(tx.ExecContext(ctx, `UPDATE batches SET valid_at = ?, seal_pepper = ?, seal = ? WHERE id = ? AND valid_at IS NULL`,
			micros(b.ValidAt), b.Seal.PepperID, b.Seal.MAC, b.ID)); err != nil {
			return unavailable("finish import", err)
		}
		tx.moved(string(b.ID), 1)
		tx.wroteBatch(&b)
		return tx.append(ctx, "", e)
	})
}

// removeUnfinished removes the keys of unfinished imports. The caller has the lock of
// imports.
func (s *Store) removeUnfinished(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		some, err := s.anyUnfinished(ctx)
		if err != nil || !some {
			return err
		}
		err = s.writePart(ctx, s.removePart)
		if err != nil {
			return fmt.Errorf("remove keys of an unfinished import: %w", err)
		}
	}
}

func (s *Store) anyUnfinished(ctx context.Context) (some bool, err error) {
	err = s.withPeppers(ctx, func() error {
		if err := s.gate.enter(); err != nil {
			return err
		}
		defer s.gate.leave()
		id, err := s.leftBehind(ctx, s.db)
		some = id != nil
		return err
	})
	return some, err
}

// removable holds for a key k of a batch that is not valid.
const removable = `k.revoked_at IS NULL AND NOT EXISTS (SELECT 1 FROM superseded WHERE key_id = k.id AND lookup IS NOT NULL)`

// leftBehind returns the id of a batch that is not valid and of which something is to be
// removed, nil if there is none.
func (r *Reader) leftBehind(ctx context.Context, db querier) ([]byte, error) {
	ids, err := idsOf(db.QueryContext(ctx, `SELECT id FROM batches b WHERE NOT EXISTS (SELECT 1 FROM keys WHERE batch = b.id)
		OR EXISTS (SELECT 1 FROM keys k WHERE k.batch = b.id AND `+removable+`) ORDER BY valid_at IS NOT NULL, id`))
	if err != nil {
		return nil, unavailable("read imports", err)
	}
	for _, id := range ids {
		b, err := readBatch(ctx, db, id)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, unavailable("read imports", err)
		}
		if valid, err := r.isValid(&b); err != nil || !valid {
			return id, err
		}
	}
	return nil, nil
}

// removePart removes keys of an unfinished batch until its time is over, and the batch
// itself when none is left.
func (s *Store) removePart(ctx context.Context, tx *work) error {
	began := time.Now() //nolint:forbidigo // only its monotonic reading is used
	id, err := s.leftBehind(ctx, tx)
	if err != nil || id == nil {
		return err
	}
	detail := audit.BatchDetail{Batch: hex.EncodeToString(id)}
	for left := true; left && time.Since(began) < partTime; {
		n, err := removeKeys(ctx, tx, id)
		if err != nil {
			return unavailable("remove keys", err)
		}
		detail.Keys += n
		left = n > 0
	}
	var left bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM keys WHERE batch = ?)`, id).Scan(&left); err != nil {
		return unavailable("read imports", err)
	}
	if !left {
		var told int // an event comes of it if the row says that it is valid
		if err := tx.QueryRowContext(ctx, `DELETE FROM batches WHERE id = ? RETURNING valid_at IS NOT NULL`, id).Scan(&told); err != nil {
			return unavailable("remove import", err)
		}
		if told != 0 {
			tx.moved(string(id), told)
		}
		tx.removedBatch(id)
	}
	e, err := audit.NewEvent(ctx, noter, audit.ActionImportUndo, s.usage.now(), detail)
	if err != nil {
		return err
	}
	return tx.append(ctx, "", e)
}

// removeKeys removes some keys of an unfinished batch, with their secrets.
func removeKeys(ctx context.Context, tx *work, batch []byte) (n int, err error) {
	ids, err := idsOf(tx.QueryContext(ctx, `SELECT id FROM keys k WHERE batch = ? AND `+removable+` ORDER BY id LIMIT 100`, batch))
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, `DELETE FROM superseded WHERE key_id = ?`, id); err != nil {
			return 0, err
		}
		result, err := tx.ExecContext(ctx, `DELETE FROM secrets WHERE key_id = ?`, id)
		if err != nil {
			return 0, err
		}
		secrets, err := result.RowsAffected()
		if err != nil {
			return 0, err
		}
		if err := exactlyOne(tx.ExecContext(ctx, `DELETE FROM keys WHERE id = ?`, id)); err != nil {
			return 0, err
		}
		tx.removed(id, 1+int(secrets))
	}
	return len(ids), nil
}

// idsOf reads the ids that a query yields.
func idsOf(rows *sql.Rows, err error) (ids [][]byte, _ error) {
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var id []byte
		if err := rows.Scan(&id); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		ids = append(ids, id)
	}
	return ids, errors.Join(rows.Err(), rows.Close())
}

// besideImports calls do, which sets *k to its key. If the key is refused because of one
// that an unfinished import wrote, that one is removed first; while the import runs the
// error is [keys.ErrImporting], because the refusal would name a key that cannot be found.
func (s *Store) besideImports(ctx context.Context, k **keys.Key, do func() error) error {
	err := do()
	if !isRefused(err) || *k == nil {
		return err
	}
	some, readErr := s.anyUnfinished(ctx)
	if readErr != nil || !some {
		return err
	}
	unlock, lockErr := s.lockImports()
	if lockErr == nil {
		defer unlock()
		if err := s.removeUnfinished(ctx); err != nil {
			return err
		}
		return do()
	}
	if s.inTheWay(ctx, *k, err) {
		return err
	}
	return lockErr
}

// inTheWay reports whether the key that stands in the way of k can be found.
func (s *Store) inTheWay(ctx context.Context, k *keys.Key, refusal error) bool {
	if errors.Is(refusal, keys.ErrNameTaken) {
		page, err := s.List(ctx, keys.Query{Name: k.Name, Owner: &k.Owner, Unrevoked: true, Limit: 1})
		return err != nil || len(page.Keys) > 0
	}
	var lookups [][]byte
	for i := range k.Secrets {
		if l := k.Secrets[i].Lookup; l != nil {
			lookups = append(lookups, l)
		}
	}
	ids, err := s.FindImported(ctx, lookups)
	return err != nil || len(ids) > 0 || len(lookups) == 0
}

// resealBatches gives batches that were sealed with a pepper the seal of the current one.
func (s *Store) resealBatches(ctx context.Context, tx *work, pepperID string) error {
	ids, err := idsOf(tx.QueryContext(ctx, `SELECT id FROM batches WHERE seal_pepper = ?`, pepperID))
	if err != nil {
		return unavailable("reseal imports", err)
	}
	for _, id := range ids {
		b, err := readBatch(ctx, tx, id)
		if err != nil {
			return unavailable("reseal imports", err)
		}
		if s.Peppers().CheckBatch(&b) != nil {
			continue // it is not valid, and does not become so
		}
		s.Peppers().SealBatch(&b)
		if err := exactlyOne(tx.ExecContext(ctx, `UPDATE batches SET seal_pepper = ?, seal = ? WHERE id = ?`, b.Seal.PepperID, b.Seal.MAC, id)); err != nil {
			return unavailable("reseal imports", err)
		}
		tx.moved(string(id), 1)
		tx.wroteBatch(&b)
	}
	return nil
}

// Unfinished counts what unfinished imports left.
type Unfinished struct {
	Batches, Keys int
	Forged        int  // of the batches: their row says that they are valid, and the seal does not
	Running       bool // one may be under way
}

// UnfinishedImports counts what unfinished imports left, including a running one. Doctor
// lists them.
func (r *Reader) UnfinishedImports(ctx context.Context) (u Unfinished, err error) {
	if err := r.gate.enter(); err != nil {
		return u, err
	}
	defer r.gate.leave()
	sizes := map[string]int{}
	err = answer(r.db.QueryContext(ctx, `SELECT id, (SELECT count(*) FROM keys WHERE batch = batches.id) FROM batches`)).each("read imports", func(rows *sql.Rows) error {
		var id []byte
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			return err
		}
		sizes[string(id)] = n
		return nil
	})
	if err != nil {
		return u, err
	}
	for id, n := range sizes {
		b, err := readBatch(ctx, r.db, []byte(id))
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return u, unavailable("read imports", err)
		case b.ValidAt.IsZero():
			u.Batches++
			u.Keys += n
		case r.Peppers().CheckBatch(&b) != nil:
			u.Forged++
		}
	}
	u.Running = holderOf(importPath(r.path), "FLOCK", "").PID != 0
	return u, nil
}
