package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// A row of hours has the 24 hours of one day, so that a count takes two bytes and not a row.
// When the hours of a day are older than [usage.Kept], they become one row of days.

const (
	hoursADay  = 24
	daySeconds = 24 * 60 * 60
)

// dayOf returns the day of t since 1970, and its hour in that day. Days before are one.
func dayOf(t time.Time) (day, hour int64) {
	hours := t.Unix() / (60 * 60)
	if t.Unix() < 0 {
		return -1, 0
	}
	return hours / hoursADay, hours % hoursADay
}

// hourOf is the beginning of an hour of a day.
func hourOf(day int64, hour int) time.Time {
	return time.Unix(day*daySeconds+int64(hour)*60*60, 0).UTC()
}

// lastDay is the last day that has a date.
const lastDay = 2_932_896

// tally adds counts in a transaction.
type tally struct {
	tx    *sql.Tx
	kept  int64                // the first day that is kept; earlier counts are left out
	hours [hoursADay]*sql.Stmt // adds to that hour; prepared when it is needed
}

const (
	insertSeries = `INSERT INTO series (key_id, code, scope) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
	upsertHour   = `INSERT INTO hours (day, series, {h}) SELECT ?1, n, ?5 FROM series WHERE key_id = ?2 AND code = ?3 AND scope = ?4
		ON CONFLICT DO UPDATE SET {h} = min({h} + excluded.{h}, ` + most + `)`
)

func column(hour int64) string { return fmt.Sprintf("h%02d", hour) }

var errNoCalls = errors.New("a count is not above zero")

func (c *tally) add(ctx context.Context, id []byte, count *usage.Count) error {
	if count.Calls <= 0 {
		return errNoCalls
	}
	day, hour := dayOf(count.Hour)
	if day < c.kept {
		return nil
	}
	if c.hours[hour] == nil {
		var err error
		if c.hours[hour], err = c.tx.PrepareContext(ctx, strings.ReplaceAll(upsertHour, "{h}", column(hour))); err != nil {
			return err
		}
	}
	args := []any{day, id, string(count.Code), count.Scope, count.Calls}
	counted, err := affected(c.hours[hour].ExecContext(ctx, args...))
	if err != nil || counted {
		return err
	}
	if _, err := c.tx.ExecContext(ctx, insertSeries, args[1:4]...); err != nil {
		return err
	}
	_, err = c.hours[hour].ExecContext(ctx, args...)
	return err
}

var (
	allHours = func() string {
		var columns []string
		for hour := range int64(hoursADay) {
			columns = append(columns, column(hour))
		}
		return strings.Join(columns, ", ")
	}()
	sumOfHours = strings.ReplaceAll(allHours, ", ", " + ")

	insertDay = `INSERT INTO days (day, series, calls) SELECT day, series, min(` + sumOfHours + `, ` + most + `) FROM hours WHERE day = ? AND ` + sumOfHours + ` > 0
		ON CONFLICT DO UPDATE SET calls = min(calls + excluded.calls, ` + most + `)`
)

const (
	oldestHours  = `SELECT min(day) FROM hours`
	deleteHours  = `DELETE FROM hours WHERE day = ?`
	deleteDays   = `DELETE FROM days WHERE day < ?`
	deleteSeries = `DELETE FROM series WHERE n NOT IN (SELECT series FROM hours UNION SELECT series FROM days)`
)

// rollUp sums up the oldest day if all of its hours are older than [usage.Kept], one day each
// time, so that no flush takes long. It deletes days older than [usage.DaysKept]; in a file that is as
// old, one flush a day then reads the whole file, to find series without counts.
func rollUp(ctx context.Context, tx *sql.Tx, now time.Time) error {
	var oldest sql.NullInt64
	if err := tx.QueryRowContext(ctx, oldestHours).Scan(&oldest); err != nil {
		return err
	}
	if kept, _ := dayOf(now.Add(-usage.Kept)); oldest.Valid && oldest.Int64 < kept {
		_, err1 := tx.ExecContext(ctx, insertDay, oldest.Int64)
		_, err2 := tx.ExecContext(ctx, deleteHours, oldest.Int64)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
	}
	kept, _ := dayOf(now.Add(-usage.DaysKept))
	gone, err := affected(tx.ExecContext(ctx, deleteDays, kept))
	if err != nil || !gone {
		return err
	}
	_, err = tx.ExecContext(ctx, deleteSeries)
	return err
}
