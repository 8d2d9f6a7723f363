package bench

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"runtime"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Names of the floors.
const (
	floorMap       = "FloorSHA256Map"
	floorMapOf1000 = "FloorMapOf1000"
	floorPoint     = "FloorSQLitePoint"
	floorCommit    = "FloorSQLiteCommit"
)

var errWrong = errors.New("a wrong answer")

// hashAndLook is the least work of checking a key in memory: the digest of the token and a
// lookup in a map of all few keys; asked of them are looked up in turn.
func (s *Stage) hashAndLook(asked int) func(int) error {
	m := map[string]*[sha256.Size]byte{}
	for _, t := range s.tokens {
		id, _ := keys.TokenID(t)
		sum := sha256.Sum256([]byte(t))
		m[id] = &sum
	}
	return func(n int) error {
		for i := range n {
			token := s.tokens[i%asked]
			var text [keys.TokenLen]byte
			copy(text[:], token)
			sum := sha256.Sum256(text[:])
			if *m[token[5:17]] != sum {
				return errWrong
			}
		}
		return nil
	}
}

// openPoint opens the many keys as the store does, and without the store.
func openPoint(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", dsn(path, url.Values{"mode": {"ro"}, "_query_only": {"1"}, "_cache_size": {"-65536"}}))
	if err != nil {
		return nil, err
	}
	conns := max(2, runtime.GOMAXPROCS(0))
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// readPoint reads six columns of one key's row with a prepared statement: the least cost of
// reading a key with SQLite from Go.
func (s *Stage) readPoint(ctx context.Context) (func(int) error, error) {
	statement, err := s.point.PrepareContext(ctx, `SELECT kind, name, scopes, created_at, version, seal FROM keys WHERE id = ?`)
	if err != nil {
		return nil, err
	}
	next := 0
	return func(n int) error {
		for range n {
			id, _ := keys.TokenID(s.manyTokens[next%len(s.manyTokens)])
			next++
			var kind, name, scopes string
			var createdAt, version int64
			var seal []byte
			if err := statement.QueryRowContext(ctx, []byte(id)).Scan(&kind, &name, &scopes, &createdAt, &version, &seal); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// openScratch makes a database with one table, written as durably as the key store.
func openScratch(ctx context.Context, path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", dsn(path, url.Values{"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_txlock": {"immediate"}}))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, `CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT`)
	return db, err
}

// commitRow writes one row in a transaction of its own, which is on the disk when it
// returns.
func (s *Stage) commitRow(ctx context.Context) (func(int) error, error) {
	statement, err := s.scratch.PrepareContext(ctx, `INSERT INTO t (text) VALUES (?)`)
	if err != nil {
		return nil, err
	}
	return func(n int) error {
		for range n {
			if _, err := statement.ExecContext(ctx, "a row of some length, as a key's row is, but with nothing in it"); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func dsn(path string, params url.Values) string {
	return (&url.URL{Scheme: "file", Path: path, RawQuery: params.Encode()}).String()
}

// bcrypt10 and argon2id are the cost of each check if keys are hashed like passwords.
func bcrypt10(token string) (func(int) error, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(token), 10)
	if err != nil {
		return nil, fmt.Errorf("bcrypt: %w", err)
	}
	return func(n int) error {
		for range n {
			if err := bcrypt.CompareHashAndPassword(hash, []byte(token)); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// argon2id has the parameters that OWASP recommends first: 19 MiB, two passes, one
// lane.
func argon2id(token string) func(int) error {
	salt := []byte("sixteen bytes of")
	want := argon2.IDKey([]byte(token), salt, 2, 19*1024, 1, 32)
	return func(n int) error {
		for range n {
			if string(argon2.IDKey([]byte(token), salt, 2, 19*1024, 1, 32)) != string(want) {
				return errWrong
			}
		}
		return nil
	}
}
