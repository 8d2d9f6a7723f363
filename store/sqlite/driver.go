//go:build cgo

package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"
)

// hardening runs on every new connection, besides the settings of the DSN. A planted schema
// must not call functions with side effects; damaged pages are noticed when read; an I/O
// error is an error and not a SIGBUS; a log that has grown gives its space back.
const hardening = `
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA mmap_size = 0;
PRAGMA journal_size_limit = 67108864;`

// connector opens connections of one DSN. It keeps the driver out of the global
// registry of database/sql.
type connector struct {
	dsn    string
	driver *sqlite3.SQLiteDriver
	at     *spot // nil: no other process knows the file
}

// Connect opens the file, and makes sure that it is the one that the others of its pool
// have open.
func (c connector) Connect(context.Context) (driver.Conn, error) {
	if c.at == nil {
		return c.driver.Open(c.dsn)
	}
	if err := c.at.check(); err != nil {
		return nil, err
	}
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	if err := c.at.check(); err != nil {
		abandon(conn)
		return nil, err
	}
	return conn, nil
}

func (c connector) Driver() driver.Driver { return c.driver }

// openDB returns a pool of at most conns connections, which stay open. Nothing is
// opened yet. The last one to close leaves -wal and -shm in place, empty: to make them
// takes room, which a full disk has not, and a key must be revoked there too.
func openDB(dsn string, conns int) *sql.DB { return openPool(nil, dsn, conns, true) }

// openAt is openDB for the files of a spot.
func openAt(at *spot, dsn string, conns int) *sql.DB { return openPool(at, dsn, conns, true) }

func openConns(dsn string, conns int, keepLog bool) *sql.DB {
	return openPool(nil, dsn, conns, keepLog)
}

func openPool(at *spot, dsn string, conns int, keepLog bool) *sql.DB {
	return pool(newConnector(at, dsn, keepLog), conns)
}

func pool(c driver.Connector, conns int) *sql.DB {
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db
}

func newConnector(at *spot, dsn string, keepLog bool) connector {
	return connector{at: at, dsn: dsn, driver: &sqlite3.SQLiteDriver{
		ConnectHook: func(c *sqlite3.SQLiteConn) error {
			_, err := c.Exec(hardening, nil)
			if err == nil && keepLog {
				err = c.SetFileControlInt("main", sqlite3.SQLITE_FCNTL_PERSIST_WAL, 1)
			}
			return err
		},
	}}
}

// Version is the version of SQLite that is built in; empty when none is.
func Version() string {
	text, _, _ := sqlite3.Version()
	return text
}

// checkDriver refuses a SQLite with a known way to lose data.
func checkDriver() error {
	if text := Version(); TooOld(text) {
		return fmt.Errorf("built with SQLite %s, which can corrupt a shared database: build with %s or newer", text, LeastVersion)
	}
	return nil
}

// codes returns SQLite's own code of err, basic and extended; zero if it has none.
func codes(err error) (basic, extended int) {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return 0, 0
	}
	return int(e.Code), int(e.ExtendedCode)
}
