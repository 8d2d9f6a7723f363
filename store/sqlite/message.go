package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/mcpkeys/mcpkeys/keys/usage"
)

const (
	insertHeard = `INSERT INTO heard (caller, sender, n, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`
	updateHeard = `UPDATE heard SET n = ?, at = ? WHERE caller = ? AND sender = ? AND n < ?`
	deleteHeard = `DELETE FROM heard WHERE at < ?`
	trimHeard   = `DELETE FROM heard WHERE caller = ?1 AND sender IN (
		SELECT sender FROM heard WHERE caller = ?1 ORDER BY at DESC, sender LIMIT -1 OFFSET ?2)`
)

// AddMessage implements [store.MessageLog], also for a handle that cannot write keys, as AddUse
// does.
func (r *Reader) AddMessage(ctx context.Context, m *usage.Message) error {
	if err := r.usage.gate.enter(); err != nil {
		return err
	}
	defer r.usage.gate.leave()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write a guard's counts: %w", err)
	}
	return r.usage.write(context.WithoutCancel(ctx), func(ctx context.Context, tx *sql.Tx) error {
		now := r.usage.now()
		if news, err := hear(ctx, tx, m, now); err != nil || !news {
			return err
		}
		if len(m.Uses) > 0 {
			if err := addUses(ctx, tx, m.Uses, now); err != nil {
				return err
			}
		}
		if len(m.Denials) > 0 {
			return addDenials(ctx, tx, m.Denials, now)
		}
		return nil
	})
}

// hear notes the number of m. It reports false if m was counted before.
func hear(ctx context.Context, tx *sql.Tx, m *usage.Message, now time.Time) (news bool, err error) {
	_, err = tx.ExecContext(ctx, deleteHeard, micros(now.Add(-usage.MessagesKept)))
	first, err1 := affected(tx.ExecContext(ctx, insertHeard, m.Caller, m.Sender[:], m.N, micros(now)))
	if err := errors.Join(err, err1); err != nil {
		return false, unavailable("note a message", err)
	}
	if first {
		_, err := tx.ExecContext(ctx, trimHeard, m.Caller, usage.SendersKept)
		return true, unavailable("let old numbers go", err)
	}
	news, err = affected(tx.ExecContext(ctx, updateHeard, m.N, micros(now), m.Caller, m.Sender[:], m.N))
	return news, unavailable("note a message", err)
}

// affected reports whether a statement changed a row.
func affected(done sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n > 0, err
}
