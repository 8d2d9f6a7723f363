//go:build cgo

package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"

	"github.com/mattn/go-sqlite3"
)

// watchedConn is a connection that knows by which shape it works.
type watchedConn struct {
	*sqlite3.SQLiteConn
	at     *spot
	watch  *schemaWatch
	parsed string
}

// Close does not close a connection whose files were replaced: see spot.
func (c *watchedConn) Close() error {
	if c.at.check() == nil {
		return c.SQLiteConn.Close()
	}
	abandon(c.SQLiteConn)
	return nil
}

var _ driver.SessionResetter = (*watchedConn)(nil)

// ResetSession implements [driver.SessionResetter]: the pool gives a connection up that
// parsed another shape than what stands in the database now.
func (c *watchedConn) ResetSession(context.Context) error {
	if c.watch.stale(c.parsed) {
		return driver.ErrBadConn
	}
	return nil
}

// watchedConnector opens connections that are watched, and attach no other database.
type watchedConnector struct {
	connector
	watch *schemaWatch
}

func (c watchedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := c.connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := opened.(*sqlite3.SQLiteConn)
	if !ok {
		return nil, errors.Join(errors.New("the driver's connection is another one"), opened.Close())
	}
	watched := &watchedConn{SQLiteConn: conn, at: c.at, watch: c.watch}
	conn.SetLimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
	s, err := parseAndRead(ctx, conn)
	if err != nil {
		return nil, errors.Join(err, watched.Close())
	}
	c.watch.see(s)
	watched.parsed = s.text
	return watched, nil
}

// openWatched is openAt for the connections by which keys are read and written.
func openWatched(at *spot, dsn string, conns int, watch *schemaWatch) *sql.DB {
	return pool(watchedConnector{newConnector(at, dsn, true), watch}, conns)
}

// parseAndRead makes a connection parse the schema again, in the state in which its shape is
// read.
func parseAndRead(ctx context.Context, c *sqlite3.SQLiteConn) (s *shape, err error) {
	if _, err := c.Exec(`BEGIN`, nil); err != nil {
		return nil, err
	}
	defer func() {
		_, ended := c.Exec(`ROLLBACK`, nil)
		err = errors.Join(err, ended)
	}()
	var version int64
	var text string
	if err := scanOne(c, `SELECT count(*) FROM sqlite_schema`, new(int64)); err != nil { // fixes the state
		return nil, err
	}
	if _, err := c.Exec(parseAnew, nil); err != nil {
		return nil, err
	}
	if err := scanOne(c, `SELECT ifnull(`+shapeText+`, '')`, &text); err != nil {
		return nil, err
	}
	if err := scanOne(c, `PRAGMA user_version`, &version); err != nil {
		return nil, err
	}
	return shapeOf(ctx, int(version), text)
}

// scanOne reads the one value that a query yields.
func scanOne[T int64 | string](c *sqlite3.SQLiteConn, query string, into *T) (err error) {
	rows, err := c.Query(query, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, 1)
	if err := rows.Next(row); err != nil {
		if errors.Is(err, io.EOF) {
			err = sql.ErrNoRows
		}
		return err
	}
	value, ok := row[0].(T)
	if !ok {
		return errors.New("the database yields another type of value")
	}
	*into = value
	return nil
}
