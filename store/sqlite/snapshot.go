package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// Snapshot is the content of a key store at one moment, in numbers.
type Snapshot struct {
	Path       string
	Size       int64 // of the file, in bytes
	Schema     int
	Keys       int64       // also revoked and expired ones
	Events     int64       // audit rows
	Newest     audit.Event // the newest of them, its Seq, At and Hash; zero when there is none
	Peppers    []string    // ids of the peppers that it needs, in order
	Generation string

	changeSeq int64 // as stored, perhaps not written by mcpkeys
}

// same reports whether nothing was changed between the two.
func (s *Snapshot) same(other *Snapshot) bool {
	return s.Generation == other.Generation && s.changeSeq == other.changeSeq && s.Events == other.Events &&
		bytes.Equal(s.Newest.Hash, other.Newest.Hash)
}

// examine reads a whole database, page by page, and returns its snapshot. It refuses a
// damaged database or one that mcpkeys did not make; errors call it name.
func examine(ctx context.Context, path, name string) (Snapshot, error) {
	db := openDB(readerDSN(path), 1)
	defer func() { _ = db.Close() }() // nothing was written
	if _, err := recognise(ctx, db, name); err != nil {
		return Snapshot{}, err
	}
	if err := sound(ctx, db, name); err != nil {
		return Snapshot{}, err
	}
	if err := soundNumbers(ctx, db); err != nil {
		return Snapshot{}, fmt.Errorf("%s: %w", name, err)
	}
	s, err := describe(ctx, db, name)
	if err != nil {
		return Snapshot{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Snapshot{}, fmt.Errorf("look at %s: %w", name, err)
	}
	s.Size = info.Size()
	return s, nil
}

// look is examine without reading every page.
func look(ctx context.Context, path string) (Snapshot, error) {
	db := openDB(readerDSN(path), 1)
	defer func() { _ = db.Close() }() // nothing was written
	return describe(ctx, db, path)
}

// sound has SQLite read every page.
func sound(ctx context.Context, db querier, path string) error {
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict); err != nil {
		return unavailable("check "+path, err)
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s is damaged (%s): restore a backup", keys.ErrUnavailable, path, strings.TrimSpace(verdict))
	}
	return nil
}

// soundNumbers refuses a database with numbers that mcpkeys did not write. It does not check
// the store id, which only the pepper file can confirm.
func soundNumbers(ctx context.Context, db querier) error {
	id, err := storeOf(ctx, db)
	if err != nil {
		return err
	}
	n, err := numbersOf(ctx, db)
	if err != nil {
		return err
	}
	return n.altered(id)
}

// describe lists the content of an mcpkeys database, in one state of it.
func describe(ctx context.Context, db *sql.DB, path string) (Snapshot, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return Snapshot{}, unavailable("begin", err)
	}
	defer func() { _ = tx.Rollback() }() // it was only read
	s := Snapshot{Path: path}
	if s.Schema, err = schemaOf(ctx, tx, path); err != nil {
		return Snapshot{}, err
	}
	err = tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM keys k WHERE `+finished+`), (SELECT count(*) FROM audit)`).Scan(&s.Keys, &s.Events)
	if err != nil {
		return Snapshot{}, unavailable("read "+path, err)
	}
	if err := s.readNumbers(ctx, tx); err != nil {
		return Snapshot{}, err
	}
	if err := s.readNewest(ctx, tx); err != nil {
		return Snapshot{}, err
	}
	noted, err := notedPeppers(ctx, tx)
	if err != nil {
		return Snapshot{}, err
	}
	s.Peppers = slices.Sorted(maps.Keys(noted))
	return s, nil
}

// readNumbers reads them as they are, also if mcpkeys did not write them.
func (s *Snapshot) readNumbers(ctx context.Context, db querier) error {
	n, err := numbersOf(ctx, db)
	if err != nil {
		return err
	}
	s.Generation, _ = n.generation.(string)
	s.changeSeq = n.changeSeq()
	return nil
}

func (s *Snapshot) readNewest(ctx context.Context, db querier) error {
	var at int64
	err := db.QueryRowContext(ctx, `SELECT seq, at, hash FROM audit ORDER BY seq DESC LIMIT 1`).Scan(&s.Newest.Seq, &at, &s.Newest.Hash)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	s.Newest.At = instant(at)
	return unavailable("read audit", err)
}
