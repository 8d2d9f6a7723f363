//go:build cgo

package sqlite

import (
	"context"
	"database/sql"

	"github.com/mattn/go-sqlite3"
)

// Driven returns the driver's connection behind one of this package's pools.
func Driven(conn any) *sqlite3.SQLiteConn {
	if watched, ok := conn.(*watchedConn); ok {
		return watched.SQLiteConn
	}
	return conn.(*sqlite3.SQLiteConn)
}

// OpenWatchedAt opens the database for writing, as a [Store] does.
func OpenWatchedAt(path string) (*sql.DB, error) {
	at, err := newSpot(path, path)
	if err != nil {
		return nil, err
	}
	return openWatched(at, writerDSN(path), 1, &schemaWatch{}), nil
}

// ConnectWhile opens one connection as a [Store] does. It calls do when SQLite has the
// files open and nothing was made sure of.
func ConnectWhile(ctx context.Context, path string, do func()) error {
	at, err := newSpot(path, path)
	if err != nil {
		return err
	}
	c := newConnector(at, writerDSN(path), true)
	hook := c.driver.ConnectHook
	c.driver.ConnectHook = func(conn *sqlite3.SQLiteConn) error {
		err := hook(conn)
		do()
		return err
	}
	conn, err := c.Connect(ctx)
	if err == nil {
		err = conn.Close()
	}
	return err
}
