package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/mcpkeys/mcpkeys/keys"
)

// selectKey yields a row of the key and then one of each secret: one statement, so
// never half before and half after a change. A join of the two tables says the same
// and takes three times as long (see BenchmarkKey).
const selectKey = `SELECT ` + keyColumns + `, NULL, NULL, NULL, NULL, NULL, NULL, NULL
	FROM keys k WHERE k.id = ?1
	UNION ALL
	SELECT x'', '', '', '', NULL, '', '', '', '', 0, 0, 0, 0, 0, 0, 0, '', NULL, NULL, NULL, NULL, '', 0, 0, '', x'', ` + secretColumns + `
	FROM secrets s WHERE s.key_id = ?1`

// Key implements [store.Reader]. A row with an unreadable column is [keys.ErrTampered].
// The read ignores a cancelled ctx: it takes microseconds, and watching ctx would take
// half as long again.
func (r *Reader) Key(ctx context.Context, id string) (*keys.Key, error) {
	var k *keys.Key
	err := r.withPeppers(ctx, func() (err error) {
		k, err = r.keyOf(ctx, id)
		return err
	})
	if met := r.meet(ctx, k); met != nil {
		return nil, met
	}
	return k, err
}

func (r *Reader) keyOf(ctx context.Context, id string) (*keys.Key, error) {
	if err := r.gate.enter(); err != nil {
		return nil, err
	}
	defer r.gate.leave()
	if ctx.Done() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	rec, err := one(r.keyByID.QueryContext(ctx, []byte(id)))
	if err != nil {
		return nil, err
	}
	if shown, err := r.mayShow(ctx, r.db, rec.batch); err != nil || !shown {
		return nil, cmp.Or(err, keys.ErrNotFound)
	}
	return rec.take() // what can be understood of it, also with ErrTampered
}

// one reads the answer of selectKey. Secrets without a key do not count as one.
func one(rows *sql.Rows, err error) (*record, error) {
	if err != nil {
		return nil, unavailable("read key", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err reports it
	var found *record
	var secrets []secretRecord
	var s secretRecord
	for r := new(record); rows.Next(); {
		switch err := scanInto(rows, r, &s); {
		case err != nil:
			return nil, unavailable("read key", err)
		case s.number.Valid:
			secrets = append(secrets, s)
		default:
			found, r = r, new(record)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable("read key", err)
	}
	if found == nil {
		return nil, keys.ErrNotFound
	}
	slices.SortFunc(secrets, func(a, b secretRecord) int { return cmp.Compare(a.number.Int64, b.number.Int64) })
	found.secrets = secrets
	return found, nil
}
