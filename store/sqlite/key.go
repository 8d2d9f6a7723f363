package sqlite

import (
	"context"
	"database/sql"

	"github.com/mcpkeys/mcpkeys/keys"
)

const selectKey = `SELECT ` + keyColumns + `, ` + secretColumns + `
	FROM keys k LEFT JOIN secrets s ON s.key_id = k.id
	WHERE k.id = ? ORDER BY s.number`

// Key implements [keys.Reader]. A row with a column that cannot be understood is
// [keys.ErrTampered]. The read goes on when ctx is cancelled: it takes
// microseconds, and to watch ctx would cost half as much again.
func (r *Reader) Key(ctx context.Context, id string) (*keys.Key, error) {
	if err := r.gate.enter(); err != nil {
		return nil, err
	}
	defer r.gate.leave()
	rec, err := one(r.keyByID.QueryContext(context.WithoutCancel(ctx), []byte(id)))
	if err != nil {
		return nil, err
	}
	return rec.key() // what can be understood of it, also with ErrTampered
}

// one takes the answer of selectKey.
func one(rows *sql.Rows, err error) (*record, error) {
	if err != nil {
		return nil, unavailable("read key", err)
	}
	found, err := scanRecords(rows)
	if err != nil {
		return nil, unavailable("read key", err)
	}
	if len(found) == 0 {
		return nil, keys.ErrNotFound
	}
	return found[0], nil
}
