//go:build cgo

package sqlite

import "github.com/mattn/go-sqlite3"

// Driven returns the driver's connection behind one of this package's pools.
func Driven(conn any) *sqlite3.SQLiteConn {
	if watched, ok := conn.(*watchedConn); ok {
		return watched.SQLiteConn
	}
	return conn.(*sqlite3.SQLiteConn)
}
