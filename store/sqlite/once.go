package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/store"
)

// doneColumns are read and written in this order.
const doneColumns = `caller, route, word, at, pepper_id, body, key_id, secret, answer`

// repeated says what becomes of a change when its key is rec, nil if it is gone, and replayed
// said why.
func repeated(ctx context.Context, why error, rec *record) error {
	var before *store.ReplayedError
	if !errors.As(why, &before) {
		return why
	}
	var k *keys.Key
	if rec != nil {
		k, _ = rec.key() // one that cannot be understood comes without a seal
	}
	return store.OnceFrom(ctx).Repeat(before, k)
}

// replayed fails when the change that ctx belongs to was made before, see [store.Once]. It
// comes first in the transaction of the change: of two that are asked for at once, in
// whatever processes, the second finds what the first has written.
func (s *Store) replayed(ctx context.Context, tx *sql.Tx) error {
	o := store.OnceFrom(ctx)
	if o == nil {
		return nil
	}
	var d store.Done
	var at int64
	err := tx.QueryRowContext(ctx, `SELECT `+doneColumns+` FROM idempotency WHERE caller = ? AND route = ? AND word = ?`, o.Caller, o.Route, o.Word).
		Scan(&d.Caller, &d.Route, &d.Word, &at, &d.PepperID, &d.Body, &d.KeyID, &d.Secret, &d.Answer)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return unavailable("read repeated requests", err)
	}
	d.At = instant(at)
	return o.Check(s.Peppers(), &d)
}

// done keeps that the change of ctx was made, and lets go what is too old. E is nil for a
// change that had nothing to do.
func (s *Store) done(ctx context.Context, tx *sql.Tx, k *keys.Key, e *audit.Event) error {
	o := store.OnceFrom(ctx)
	if o == nil {
		return nil
	}
	d, err := o.Done(s.Peppers(), k, e)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM idempotency WHERE at <= ?`, micros(d.At.Add(-store.OnceKept))); err != nil {
		return unavailable("write repeated requests", err)
	}
	return unavailable("write repeated requests", exactlyOne(tx.ExecContext(ctx,
		`INSERT OR REPLACE INTO idempotency (`+doneColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		d.Caller, d.Route, d.Word, micros(d.At), d.PepperID, d.Body, d.KeyID, d.Secret, d.Answer)))
}

// carryDone takes over from the key store that is being replaced which requests were
// carried out: a client that repeats one after the restore must not have it done again.
// Where that key store cannot be read, only those of the backup are known.
func carryDone(ctx context.Context, tx *sql.Tx, from string) error {
	db := openDB(readerDSN(from), 1)
	defer func() { _ = db.Close() }() // nothing was written
	rows, err := db.QueryContext(ctx, `SELECT `+doneColumns+` FROM idempotency`)
	if err != nil {
		return unavailable("read repeated requests", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err reports it
	for rows.Next() {
		var row [9]any
		into := make([]any, len(row))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return unavailable("read repeated requests", err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO idempotency (`+doneColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, row[:]...); err != nil {
			return unavailable("write repeated requests", err)
		}
	}
	return unavailable("read repeated requests", rows.Err())
}
