package sqlite

import (
	"context"
	"database/sql"
	"time"
)

const (
	// eventsKept is how long an event is kept after the one that followed it. A reader that did not
	// look for so long forgets all that it knows, which it must do anyway when its lease has ended.
	eventsKept = 24 * time.Hour

	// trimMost is how many events a transaction deletes: more than it adds, and so few that no
	// other change waits for long.
	trimMost = 10_000
)

const (
	selectOldest = `SELECT seq, at FROM events WHERE seq < ? ORDER BY seq LIMIT ?`
	deleteEvents = `DELETE FROM events WHERE seq <= ?`
)

// trimEvents deletes events that no reader needs: old ones, and the ones more than maxChanges back. A
// reader that far behind forgets everything, so it needs no list of changes. An event stays while the
// next one is young, because readers that look often may still stand at it. In a store with foreign
// objects nothing is deleted: a trigger could run.
func (w *work) trimEvents(ctx context.Context, now time.Time) error {
	if w.beside != nil {
		return nil //nolint:nilerr // each look at the store reports it
	}
	last, err := w.lastUnneeded(ctx, micros(now.Add(-eventsKept)))
	if err != nil || !last.Valid {
		return unavailable("read events", err)
	}
	_, err = w.ExecContext(ctx, deleteEvents, last.Int64)
	return unavailable("delete old events", err)
}

// lastUnneeded returns the last of the oldest events that may go, if there is one.
func (w *work) lastUnneeded(ctx context.Context, old int64) (last sql.NullInt64, err error) {
	newest := w.before.changeSeq()
	rows, err := w.QueryContext(ctx, selectOldest, newest, trimMost)
	if err != nil {
		return last, err
	}
	defer func() { _ = rows.Close() }() // rows.Err reports it
	var before sql.NullInt64
	for rows.Next() {
		var seq, at int64
		if err := rows.Scan(&seq, &at); err != nil {
			return last, err
		}
		switch {
		case seq < newest-maxChanges:
			last = sql.NullInt64{Int64: seq, Valid: true}
		case at < old:
			last = before
		default:
			return last, nil
		}
		before = sql.NullInt64{Int64: seq, Valid: true}
	}
	return last, rows.Err()
}
