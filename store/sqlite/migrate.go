package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/mcpkeys/mcpkeys/internal/base/newfile"
)

// migrate brings a key store of an older schema to the present one, for all processes. It is
// copied first, and then changed in one transaction, so a crash leaves the old schema or the
// new one. If two programs start at once, one migrates, and the other waits.
//
// Programs that only read accept a key store of any schema up to theirs. A program of an
// older mcpkeys that has it open continues, but cannot open it again.
func migrate(ctx context.Context, path string) error {
	unlock, err := newfile.Lock(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("lock %s: %w", filepath.Dir(path), err)
	}
	defer unlock()
	from, err := versionOf(ctx, path)
	if err != nil || from >= schemaVersion {
		return err
	}
	if err := keepSchema(ctx, path, from); err != nil {
		return fmt.Errorf("migrate from schema %d: %w", from, err)
	}
	db := openDB(writerDSN(path), 1)
	free, err := takeTurn(ctx, path)
	if err == nil {
		err = advance(ctx, db, path)
		free()
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("migrate from schema %d (a copy of the old database is beside it): %w", from, err)
	}
	return tellAll(path)
}

func versionOf(ctx context.Context, path string) (int, error) {
	db := openDB(readerDSN(path), 1)
	defer func() { _ = db.Close() }() // nothing was written
	return recognise(ctx, db, path)
}

// keepSchema copies the key store as it is before a migration, to a name that tells the
// schema. A whole copy of the same state, left by a migration that was broken off, will
// do. What is written between the copy and the transaction is in the key store alone.
func keepSchema(ctx context.Context, path string, version int) error {
	now, err := look(ctx, path)
	if err != nil {
		return err
	}
	kept := path + ".schema" + strconv.Itoa(version)
	for n := 2; ; n++ {
		if _, err := os.Lstat(kept); err != nil {
			_, err := backup(ctx, path, kept, nil)
			return err
		}
		if there, err := examine(ctx, kept, kept); err == nil && there.same(&now) {
			return nil
		}
		kept = path + ".schema" + strconv.Itoa(version) + "-" + strconv.Itoa(n)
	}
}

// advance takes the steps that are missing, in one transaction. Where directories cannot
// be locked another process may have taken them first.
func advance(ctx context.Context, db *sql.DB, path string) error {
	return inTx(ctx, db, func(tx *sql.Tx) error {
		from, err := schemaOf(ctx, tx, path)
		if err != nil || from >= schemaVersion {
			return err
		}
		for _, step := range steps[from:] {
			if _, err := tx.ExecContext(ctx, step); err != nil {
				return unavailable("change schema", err)
			}
		}
		_, err = tx.ExecContext(ctx, `PRAGMA user_version = `+strconv.Itoa(schemaVersion))
		return unavailable("change schema", err)
	})
}

// tellAll has every process look that has the key store open.
func tellAll(path string) error {
	p, err := share(epochPath(path), true)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrNotExist) {
		return nil // they look anyway, and refuse
	}
	if err == nil && !p.add() {
		err = errCutShort
	}
	return err
}
