package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
)

const (
	upsertDenied = `INSERT INTO denied (minute, code, key_id, proved, source, audience, scope, offered, agent, calls) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET calls = min(calls + excluded.calls, ` + most + `), agent = iif(agent = '', excluded.agent, agent)`
	deleteDenied = `DELETE FROM denied WHERE minute < ?`
	countDenied  = `SELECT count(*) FROM denied WHERE proved = ?`
	// Of those with a key, or of those without: each audience keeps as many of its newest rows as
	// every other that has as many.
	trimDenied = `DELETE FROM denied WHERE (proved, minute, code, key_id, source, audience, scope) IN (
		SELECT proved, minute, code, key_id, source, audience, scope FROM (
			SELECT *, row_number() OVER (PARTITION BY audience ORDER BY minute DESC, code DESC, key_id DESC, source DESC, scope DESC) AS place
			FROM denied WHERE proved = ?)
		ORDER BY place, minute DESC, audience LIMIT -1 OFFSET ?)`
)

// AddDenials implements [store.DenialLog], also for a handle that cannot write keys, as
// AddUse does.
func (r *Reader) AddDenials(ctx context.Context, denials []usage.Denial) error {
	if err := r.usage.gate.enter(); err != nil {
		return err
	}
	defer r.usage.gate.leave()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write denials: %w", err)
	}
	if len(denials) == 0 {
		return nil
	}
	return r.usage.write(context.WithoutCancel(ctx), func(ctx context.Context, tx *sql.Tx) error { return addDenials(ctx, tx, denials, r.usage.now()) })
}

// addDenials takes no later time than now from anyone, as addUses does.
func addDenials(ctx context.Context, tx *sql.Tx, denials []usage.Denial, now time.Time) error {
	for _, d := range denials {
		source := ""
		if d.Source.IsValid() {
			source = d.Source.String()
		}
		_, err := tx.ExecContext(ctx, upsertDenied,
			minuteOf(earlier(d.Minute, now)), string(d.Code), d.KeyID, d.Proved, source, d.Audience, d.Scope, d.Offered, d.Agent, d.Calls)
		if err != nil {
			return unavailable("note denials", err)
		}
	}
	if _, err := tx.ExecContext(ctx, deleteDenied, minuteOf(now.Add(-usage.Kept))); err != nil {
		return unavailable("let old denials go", err)
	}
	for _, proved := range []bool{false, true} {
		var rows int
		err := tx.QueryRowContext(ctx, countDenied, proved).Scan(&rows)
		if err == nil && rows > usage.DenialsKept {
			_, err = tx.ExecContext(ctx, trimDenied, proved, usage.DenialsKept)
		}
		if err != nil {
			return unavailable("let old denials go", err)
		}
	}
	return nil
}

func minuteOf(t time.Time) int64 { return micros(t.Truncate(time.Minute)) }

// Denials implements [store.DenialLog].
func (r *Reader) Denials(ctx context.Context, q store.DenialQuery) ([]usage.Denial, error) {
	if err := r.usage.gate.enter(); err != nil {
		return nil, err
	}
	defer r.usage.gate.leave()
	if q.Limit <= 0 {
		q.Limit = keys.DefaultLimit
	}
	var denials []usage.Denial
	err := r.usage.read(ctx, func(db *sql.DB) (err error) {
		denials, err = selectDenials(ctx, db, &q)
		return err
	})
	if err != nil {
		return nil, err
	}
	return denials, nil
}

func selectDenials(ctx context.Context, db *sql.DB, q *store.DenialQuery) ([]usage.Denial, error) {
	var f filter
	if q.KeyID != "" {
		f.and(`key_id = ?`, q.KeyID)
	}
	if q.Code != "" {
		f.and(`code = ?`, string(q.Code))
	}
	if !q.Since.IsZero() {
		f.and(`minute >= ?`, minuteOf(q.Since))
	}
	where := ""
	if len(f.where) > 0 {
		where = ` WHERE ` + strings.Join(f.where, ` AND `)
	}
	var denials []usage.Denial
	err := answer(db.QueryContext(ctx, `SELECT minute, code, key_id, proved, source, audience, scope, offered, agent, calls FROM denied`+where+`
		ORDER BY minute DESC, calls DESC, code, key_id, source, audience, scope, proved LIMIT ?`, append(f.args, q.Limit)...)).each("read denials", func(rows *sql.Rows) error {
		var d usage.Denial
		var minute int64
		var source string
		if err := rows.Scan(&minute, &d.Code, &d.KeyID, &d.Proved, &source, &d.Audience, &d.Scope, &d.Offered, &d.Agent, &d.Calls); err != nil {
			return err
		}
		// A database shell may have written anything here, and it is shown to people: a network and
		// an agent are that, or nothing.
		d.Minute, d.Agent = instant(minute), usage.AgentOf(d.Agent)
		if p, err := netip.ParsePrefix(source); err == nil {
			d.Source = p
		}
		if plausible(d.Minute) {
			denials = append(denials, d)
		}
		return nil
	})
	return denials, err
}
