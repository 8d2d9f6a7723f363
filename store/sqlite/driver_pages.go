//go:build cgo

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"
)

// transfer copies a database into another one, page by page, by SQLite's backup API.
// What it copied becomes visible in the target with its last step, all of it, or, when
// anything ends it before, never.
type transfer struct{ backup *sqlite3.SQLiteBackup }

// transferring runs do with a transfer between two connections, which nothing else uses at
// that time, and ends it.
func transferring(target, source *sql.Conn, do func(transfer) error) error {
	return raw(target, func(to *sqlite3.SQLiteConn) error {
		return raw(source, func(from *sqlite3.SQLiteConn) error {
			b, err := to.Backup("main", from, "main")
			if err != nil {
				return err
			}
			err = do(transfer{b})
			if ended := b.Finish(); err == nil { // or it says once more what a step said
				err = ended
			}
			return err
		})
	})
}

// step copies at most n pages, or with a negative n all of them, and reports whether all
// are over. The first one, which may be of no page, locks the target against other
// writers.
func (t transfer) step(n int) (done bool, err error) {
	done, err = t.backup.Step(n)
	if err == nil && !done && (n < 0 || t.backup.PageCount() == 0) {
		err = sqlite3.Error{Code: sqlite3.ErrBusy} // the driver keeps it to itself
	}
	return done, err
}

// progress is how many pages are over, and of how many.
func (t transfer) progress() (done, total int) {
	total = t.backup.PageCount()
	return total - t.backup.Remaining(), total
}

func raw(c *sql.Conn, do func(*sqlite3.SQLiteConn) error) error {
	return c.Raw(func(driven any) error {
		conn, ok := driven.(*sqlite3.SQLiteConn)
		if !ok {
			return fmt.Errorf("the driver's connection is a %T", driven)
		}
		return do(conn)
	})
}

// only returns the one connection of a database that was opened for one. It leaves no
// log beside the file.
func only(ctx context.Context, dsn string) (c *sql.Conn, closeAll func() error, err error) {
	db := openConns(dsn, 1, false)
	c, err = db.Conn(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return c, func() error { return errors.Join(c.Close(), db.Close()) }, nil
}
