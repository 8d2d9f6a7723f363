//go:build !cgo

package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// Without cgo there is no SQLite in the program. It still compiles, so that the
// sentence below is what one gets to read.
var errNoCgo = errors.New("built without cgo: install gcc and build with CGO_ENABLED=1")

func checkDriver() error { return errNoCgo }

// Version is the version of SQLite that is built in; empty when none is.
func Version() string { return "" }

type connector struct{}

func (connector) Connect(context.Context) (driver.Conn, error) { return nil, errNoCgo }
func (connector) Driver() driver.Driver                        { return nil }

func openDB(string, int) *sql.DB { return sql.OpenDB(connector{}) }

func openAt(*spot, string, int) *sql.DB { return sql.OpenDB(connector{}) }

func openConns(string, int, bool) *sql.DB { return sql.OpenDB(connector{}) }

func openWatched(*spot, string, int, *schemaWatch) *sql.DB { return sql.OpenDB(connector{}) }

func codes(error) (basic, extended int) { return 0, 0 }

type transfer struct{}

func transferring(_, _ *sql.Conn, _ func(transfer) error) error { return errNoCgo }
func (transfer) step(int) (bool, error)                         { return false, errNoCgo }
func (transfer) progress() (done, total int)                    { return 0, 0 }

func only(context.Context, string) (*sql.Conn, func() error, error) { return nil, nil, errNoCgo }
