package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/google/uuid"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// Audit implements [store.Reader].
func (r *Reader) Audit(ctx context.Context, q audit.Query) (audit.Page, error) {
	limit := pageSize(q.Limit)
	events, err := r.auditRows(ctx, q, limit+1)
	page := audit.Page{Events: events}
	if len(events) > limit {
		page.Events = events[:limit]
		page.Next = events[limit-1].Seq
	}
	return page, err
}

// Events implements [store.Reader]. It returns the rows as they are: whether they
// were edited is for [audit.VerifyChain] to say. A limit of zero or less means
// [keys.DefaultLimit].
func (r *Reader) Events(ctx context.Context, after int64, limit int) ([]audit.Event, error) {
	if limit <= 0 {
		limit = keys.DefaultLimit
	}
	return r.auditRows(ctx, audit.Query{OldestFirst: true, After: after}, limit)
}

func (r *Reader) auditRows(ctx context.Context, q audit.Query, limit int) ([]audit.Event, error) {
	if err := r.gate.enter(); err != nil {
		return nil, err
	}
	defer r.gate.leave()
	statement, args := auditSQL(&q)
	var events []audit.Event
	err := answer(r.db.QueryContext(ctx, statement, append(args, limit)...)).each("read audit", func(rows *sql.Rows) error {
		e, err := scanEvent(rows)
		if err != nil {
			return err
		}
		events = append(events, e)
		return nil
	})
	return events, err
}

// chain reads the whole log, oldest row first, as [audit.VerifyChain] wants it.
func chain(ctx context.Context, db querier) iter.Seq2[audit.Event, error] {
	return func(yield func(audit.Event, error) bool) {
		rows, err := db.QueryContext(ctx, `SELECT seq, id, at, actor, action, key_id, request_id, detail, prev, hash FROM audit ORDER BY seq`)
		if err != nil {
			yield(audit.Event{}, unavailable("read audit", err))
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
			yield(audit.Event{}, unavailable("read audit", err))
		}
	}
}

// auditSQL asks for the rows of q in its order; the limit is left to bind. Rows stand
// in the order of seq in the table itself and in the index of a key's rows, so nothing
// is ever sorted.
func auditSQL(q *audit.Query) (statement string, args []any) {
	var f filter
	if q.KeyID != "" {
		f.and(`key_id = ?`, q.KeyID)
	}
	if q.Actor != "" {
		f.and(`actor = ?`, q.Actor)
	}
	if q.Action != "" {
		f.and(`action = ?`, string(q.Action))
	}
	if !q.Since.IsZero() {
		f.and(`at > ?`, before(q.Since))
	}
	if !q.Until.IsZero() {
		f.and(`at <= ?`, before(q.Until))
	}
	order, behind := `DESC`, `seq < ?`
	if q.OldestFirst {
		order, behind = `ASC`, `seq > ?`
	}
	if q.After > 0 {
		f.and(behind, q.After)
	}
	where := ""
	if len(f.where) > 0 {
		where = ` WHERE ` + strings.Join(f.where, ` AND `)
	}
	return `SELECT seq, id, at, actor, action, key_id, request_id, detail, prev, hash
		FROM audit` + where + ` ORDER BY seq ` + order + ` LIMIT ?`, f.args
}

func scanEvent(rows *sql.Rows) (audit.Event, error) {
	var e audit.Event
	var id []byte
	var at int64
	err := rows.Scan(&e.Seq, &id, &at, &e.Actor, &e.Action, &e.KeyID, &e.RequestID, &e.Detail, &e.Prev, &e.Hash)
	if len(id) == len(e.ID) {
		copy(e.ID[:], id) // else it was edited, and the hash tells
	}
	e.At = instant(at)
	return e, err
}

// appendEvent links e behind the newest row and writes it, in the transaction of
// the change that it tells of. It returns e as it was written.
func appendEvent(ctx context.Context, tx *sql.Tx, id string, e audit.Event) (audit.Event, error) {
	switch {
	case e.KeyID != id:
		return e, errors.New("write audit: the event names another key than the one that changed")
	case e.ID == uuid.Nil:
		return e, errors.New("write audit: the event has no id")
	}
	prev, err := newestEvent(ctx, tx)
	if err != nil {
		return e, err
	}
	e.Link(prev)
	_, err = tx.ExecContext(ctx, `INSERT INTO audit (seq, id, at, actor, action, key_id, request_id, detail, prev, hash)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.Seq, e.ID[:], micros(e.At), e.Actor, string(e.Action), e.KeyID, e.RequestID, e.Detail, e.Prev, e.Hash)
	return e, unavailable("write audit", err)
}

// newestEvent returns as much of the row as a link needs, nil for an empty log.
func newestEvent(ctx context.Context, tx *sql.Tx) (*audit.Event, error) {
	var e audit.Event
	err := tx.QueryRowContext(ctx, `SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1`).Scan(&e.Seq, &e.Hash)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, unavailable("read audit", err)
	case e.Seq < 1:
		return nil, fmt.Errorf("read audit: %w: its row numbers were changed outside mcpkeys", keys.ErrUnavailable)
	}
	return &e, nil
}
