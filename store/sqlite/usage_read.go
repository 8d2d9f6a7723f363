package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// read opens the file for queries, calls do, and closes it. So it works after the file was
// removed, replaced or created again, and no connection that checks keys waits for it. It
// takes some 0.3 ms.
func (u *usageFile) read(ctx context.Context, do func(*sql.DB) error) error {
	if err := u.known(); err != nil {
		return err
	}
	db := openConns(readerDSN(u.path), 1, false)
	defer func() { _ = db.Close() }() // nothing was written
	if err := u.recognise(ctx, db, "main"); err != nil {
		return err
	}
	return u.explain(do(db))
}

// Usage implements [store.UseLog].
func (r *Reader) Usage(ctx context.Context, keyID string, since time.Time) (usage.Usage, error) {
	var found usage.Usage
	if err := r.usage.gate.enter(); err != nil {
		return found, err
	}
	defer r.usage.gate.leave()
	err := r.usage.read(ctx, func(db *sql.DB) error {
		tx, err := db.BeginTx(ctx, nil) // one state: a count may move from hours to days
		if err != nil {
			return unavailable("read usage", err)
		}
		defer func() { _ = tx.Rollback() }() // it was only read
		if found.Since, err = r.usage.since(ctx, tx); err != nil {
			return err
		}
		if found.Last, err = lastUses(ctx, tx, keyID); err != nil {
			return err
		}
		found.Counts, err = counts(ctx, tx, keyID, since)
		return err
	})
	if err != nil {
		return usage.Usage{}, err
	}
	return found, nil
}

// since is when this file began to count.
func (u *usageFile) since(ctx context.Context, db querier) (time.Time, error) {
	var since sql.NullInt64
	if err := db.QueryRowContext(ctx, `SELECT max(since) FROM counting`).Scan(&since); err != nil {
		return time.Time{}, unavailable("read usage", err)
	}
	if !since.Valid {
		return time.Time{}, unknown(nil, "%s does not say since when it counts: remove it", u.path)
	}
	return instant(since.Int64), nil
}

func lastUses(ctx context.Context, db querier, keyID string) ([]keys.LastUse, error) {
	rows, err := db.QueryContext(ctx, `SELECT key_id, secret, at, client_ip, agent FROM last_used WHERE key_id = ? ORDER BY at DESC, secret`, []byte(keyID))
	var uses []keys.LastUse
	err = eachLast(rows, err, func(_ string, l keys.LastUse) { uses = append(uses, l) })
	return uses, err
}

// daysOf goes from one day that a table has to the next. The table begins with the day, so
// that finding a key's counts does not read those of all keys.
const daysOf = `WITH RECURSIVE d (day) AS (
		SELECT min(day) FROM {table} WHERE day >= ?1
		UNION ALL
		SELECT (SELECT min(day) FROM {table} WHERE day > d.day) FROM d WHERE d.day IS NOT NULL)
	SELECT s.code, s.scope, c.* FROM d CROSS JOIN series s ON s.key_id = ?2 CROSS JOIN {table} c ON c.day = d.day AND c.series = s.n`

// counts returns the counts of a key by the hour from the hour of since, and its counts of days
// from the day of since.
func counts(ctx context.Context, tx *sql.Tx, keyID string, since time.Time) ([]usage.Count, error) {
	from, hour := dayOf(since)
	since = hourOf(from, int(hour))
	counts, err := countsOf(ctx, tx, "days", keyID, from, 1)
	if err != nil {
		return nil, err
	}
	for i := range counts {
		counts[i].Day = true
	}
	hours, err := countsOf(ctx, tx, "hours", keyID, from, hoursADay)
	if err != nil {
		return nil, err
	}
	for _, c := range hours {
		if !c.Hour.Before(since) {
			counts = append(counts, c)
		}
	}
	slices.SortStableFunc(counts, func(a, b usage.Count) int {
		return cmp.Or(a.Hour.Compare(b.Hour), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Scope, b.Scope))
	})
	return counts, nil
}

// countsOf reads the counts of a table that has so many of a day in one row.
func countsOf(ctx context.Context, tx *sql.Tx, table, keyID string, from int64, aDay int) (counts []usage.Count, err error) {
	var c usage.Count
	var day, series int64
	calls := make([]int64, aDay)
	into := []any{&c.Code, &c.Scope, &day, &series}
	for i := range calls {
		into = append(into, &calls[i])
	}
	err = answer(tx.QueryContext(ctx, strings.ReplaceAll(daysOf, "{table}", table), from, []byte(keyID))).each("read usage", func(rows *sql.Rows) error {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for hour, n := range calls {
			if n > 0 && 0 <= day && day <= lastDay { // a database shell may have written anything
				c.Hour, c.Calls = hourOf(day, hour), n
				counts = append(counts, c)
			}
		}
		return nil
	})
	return counts, err
}

// lastUsed tells of each of list that was ever used when that was. It is nil when the
// file cannot be read: a list of keys does without.
func (r *Reader) lastUsed(ctx context.Context, list []*keys.Key) map[string]keys.LastUse {
	if r.usage.gate.enter() != nil {
		return nil
	}
	defer r.usage.gate.leave()
	ids := make([]any, len(list))
	for i, k := range list {
		ids[i] = []byte(k.ID)
	}
	found := map[string]keys.LastUse{}
	err := r.usage.read(ctx, func(db *sql.DB) error {
		in := strings.TrimSuffix(strings.Repeat("?,", len(ids)), ",")
		rows, err := db.QueryContext(ctx, `SELECT key_id, secret, at, client_ip, agent FROM last_used WHERE key_id IN (`+in+`)`, ids...)
		return eachLast(rows, err, func(id string, l keys.LastUse) {
			if known, ok := found[id]; !ok || l.At.After(known.At) {
				found[id] = l
			}
		})
	})
	if err != nil {
		return nil
	}
	return found
}

// eachLast passes on the rows of a query for last uses.
func eachLast(rows *sql.Rows, err error, do func(id string, l keys.LastUse)) error {
	return answer(rows, err).each("read last use", func(rows *sql.Rows) error {
		var id []byte
		var at int64
		var ip, agent string
		var l keys.LastUse
		if err := rows.Scan(&id, &l.Secret, &at, &ip, &agent); err != nil {
			return err
		}
		// A database shell may have written anything here, and it is shown to people: an address
		// and an agent are that, or nothing.
		l.At, l.Agent = instant(at), usage.AgentOf(agent)
		addr, _ := netip.ParseAddr(ip)
		l.ClientIP = addr.WithZone("") // which could be any text
		if plausible(l.At) {
			do(string(id), l)
		}
		return nil
	})
}

// plausible leaves out what no calendar, and no JSON, can express.
func plausible(t time.Time) bool { return t.Year() >= 1970 && t.Year() <= 9999 }

func addrText(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}

// listUnused lists over a connection of its own that has both files: which keys fit is
// one question to both, so that pages are exact however many keys there are.
func (r *Reader) listUnused(ctx context.Context, q keys.Query) (keys.Page, error) {
	if err := r.usage.gate.enter(); err != nil {
		return keys.Page{}, err
	}
	defer r.usage.gate.leave()
	if err := r.usage.known(); err != nil {
		return keys.Page{}, err
	}
	db := openConns(readerDSN(r.path), 1, false)
	defer func() { _ = db.Close() }() // nothing was written
	_, err := known(ctx, db, r.path)
	if err == nil {
		err = refuseOthers(r.path, r.pepperFile)
	}
	if err != nil {
		return keys.Page{}, fmt.Errorf("%w: %w", keys.ErrUnavailable, err)
	}
	if _, err := db.ExecContext(ctx, `ATTACH ? AS usage`, readerDSN(r.usage.path)); err != nil {
		return keys.Page{}, r.usage.explain(unavailable("open", err))
	}
	if err := r.usage.recognise(ctx, db, "usage"); err != nil {
		return keys.Page{}, err
	}
	if err := r.known(ctx, db, q.UnusedBy); err != nil {
		return keys.Page{}, err
	}
	return r.listIn(ctx, db, q)
}

// known refuses a time before the file was made, unless there were no keys then: otherwise
// every key would look unused, and unused keys get revoked.
func (r *Reader) known(ctx context.Context, db *sql.DB, unusedBy time.Time) error {
	var since sql.NullInt64
	var older bool
	err := db.QueryRowContext(ctx, `SELECT max(since), EXISTS (SELECT 1 FROM keys WHERE created_at <= ?) FROM usage.counting`, before(unusedBy)).Scan(&since, &older)
	switch {
	case err != nil:
		return r.usage.explain(unavailable("read usage", err))
	case !since.Valid:
		return unknown(nil, "%s does not say since when it counts: remove it", r.usage.path)
	case older && since.Int64 > micros(unusedBy):
		return &keys.InvalidError{Field: "unused_for", Reason: "must not be before use was counted, since " +
			instant(since.Int64).Format(time.RFC3339) + "; ask for less"}
	}
	return nil
}

func (f *filter) addUnused(by time.Time) {
	if by.IsZero() {
		return
	}
	f.and(f.read(`created_at`)+` <= ? AND NOT EXISTS (SELECT 1 FROM usage.last_used u WHERE u.key_id = k.id AND u.at > ?)`, before(by), before(by))
}
