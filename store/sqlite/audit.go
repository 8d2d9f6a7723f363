package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"github.com/google/uuid"
	"github.com/mcpkeys/mcpkeys/keys"
)

// Events implements [keys.Reader]. It returns the rows as they are: whether they
// were edited is for [keys.VerifyChain] to say. A limit of zero or less means
// [keys.DefaultLimit].
func (r *Reader) Events(ctx context.Context, after int64, limit int) ([]keys.Event, error) {
	if err := r.gate.enter(); err != nil {
		return nil, err
	}
	defer r.gate.leave()
	if limit <= 0 {
		limit = keys.DefaultLimit
	}
	rows, err := r.db.QueryContext(ctx, `SELECT seq, id, at, actor, action, key_id, request_id, detail, prev, hash
		FROM audit WHERE seq > ? ORDER BY seq LIMIT ?`, after, limit)
	if err != nil {
		return nil, unavailable("read audit", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err reports it
	var events []keys.Event
	for rows.Next() {
		e, err := scanEvent(rows)
		if err != nil {
			return nil, unavailable("read audit", err)
		}
		events = append(events, e)
	}
	return events, unavailable("read audit", rows.Err())
}

// chain reads the whole log, oldest row first, as [keys.VerifyChain] wants it.
func chain(ctx context.Context, db querier) iter.Seq2[keys.Event, error] {
	return func(yield func(keys.Event, error) bool) {
		rows, err := db.QueryContext(ctx, `SELECT seq, id, at, actor, action, key_id, request_id, detail, prev, hash FROM audit ORDER BY seq`)
		if err != nil {
			yield(keys.Event{}, unavailable("read audit", err))
			return
		}
		defer func() { _ = rows.Close() }() // rows.Err reports it
		for rows.Next() {
			e, err := scanEvent(rows)
			if !yield(e, unavailable("read audit", err)) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(keys.Event{}, unavailable("read audit", err))
		}
	}
}

func scanEvent(rows *sql.Rows) (keys.Event, error) {
	var e keys.Event
	var id []byte
	var at int64
	err := rows.Scan(&e.Seq, &id, &at, &e.Actor, &e.Action, &e.KeyID, &e.RequestID, &e.Detail, &e.Prev, &e.Hash)
	copy(e.ID[:], id) // 16 bytes, or edited, and then the hash tells
	e.At = instant(at)
	return e, err
}

// appendEvent links e behind the newest row and writes it, in the transaction of
// the change that it tells of.
func appendEvent(ctx context.Context, tx *sql.Tx, id string, e keys.Event) error {
	switch {
	case e.KeyID != id:
		return errors.New("write audit: the event names another key than the one that changed")
	case e.ID == uuid.Nil:
		return errors.New("write audit: the event has no id")
	}
	prev, err := newestEvent(ctx, tx)
	if err != nil {
		return err
	}
	e.Link(prev)
	_, err = tx.ExecContext(ctx, `INSERT INTO audit (seq, id, at, actor, action, key_id, request_id, detail, prev, hash)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.Seq, e.ID[:], micros(e.At), e.Actor, string(e.Action), e.KeyID, e.RequestID, e.Detail, e.Prev, e.Hash)
	return unavailable("write audit", err)
}

// newestEvent returns as much of the row as a link needs, nil for an empty log.
func newestEvent(ctx context.Context, tx *sql.Tx) (*keys.Event, error) {
	var e keys.Event
	err := tx.QueryRowContext(ctx, `SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1`).Scan(&e.Seq, &e.Hash)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, unavailable("read audit", err)
	case e.Seq < 1:
		return nil, fmt.Errorf("read audit: %w: its numbers were edited", keys.ErrUnavailable)
	}
	return &e, nil
}
