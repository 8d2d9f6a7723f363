package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
)

// Superseded implements [store.Reader].
func (r *Reader) Superseded(ctx context.Context, id string) ([]keys.Superseded, error) {
	if err := r.gate.enter(); err != nil {
		return nil, err
	}
	defer r.gate.leave()
	return supersededOf(ctx, r.db, id)
}

func supersededOf(ctx context.Context, db querier, id string) ([]keys.Superseded, error) {
	var list []keys.Superseded
	err := answer(db.QueryContext(context.WithoutCancel(ctx), `SELECT number, scheme, pepper_id, digest, lookup, ended_at
		FROM superseded WHERE key_id = ? ORDER BY number DESC`, []byte(id))).each("read superseded secrets", func(rows *sql.Rows) error {
		var s keys.Superseded
		var ended int64
		if err := rows.Scan(&s.Number, &s.Scheme, &s.PepperID, &s.Digest, &s.Lookup, &ended); err != nil {
			return err
		}
		s.EndedAt = instant(ended)
		list = append(list, s)
		return nil
	})
	return list, err
}

// supersede keeps the secrets that a change took away, and lets those go that are too old,
// also of other keys. One whose pepper was retired could not be recognised any more.
func (s *Store) supersede(ctx context.Context, tx *sql.Tx, id string, before, after []keys.KeySecret, at time.Time) error {
	kept := byNumber(after)
	if !slices.ContainsFunc(before, func(b keys.KeySecret) bool { return kept[b.Number] == nil }) {
		return nil
	}
	known, err := supersededOf(ctx, tx, id)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM superseded WHERE key_id = ? OR lookup IS NULL AND ended_at <= ?`, []byte(id), micros(at.Add(-keys.SupersededKept)))
	if err != nil {
		return unavailable("write superseded secrets", err)
	}
	for _, one := range store.Supersede(known, before, after, at) {
		if !s.Peppers().Has(one.PepperID) {
			continue
		}
		err := exactlyOne(tx.ExecContext(ctx, `INSERT INTO superseded (key_id, number, scheme, pepper_id, digest, lookup, ended_at)
			VALUES (?, ?, ?, ?, ?, ?, ?)`, []byte(id), one.Number, string(one.Scheme), one.PepperID, one.Digest, one.Lookup, micros(one.EndedAt)))
		if err != nil {
			return unavailable("write superseded secrets", err)
		}
	}
	return nil
}
