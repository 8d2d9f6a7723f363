package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/newfile"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/pepperfile"
)

// Create makes an empty key store at path: its pepper, unless the pepper file is
// there already, and then the database, both 0600. It does not open it.
//
// An existing file at path is left as it is, and the error is [fs.ErrExist]. The
// database appears whole or not at all, whenever the machine stops. A pepper whose
// database then failed stays and is used by the next attempt.
func Create(path string, o *Options) error {
	path, err := place(path)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return existing(path)
	}
	if err := refuseNetwork(filepath.Dir(path)); err != nil {
		return err
	}
	peppers, err := makePeppers(o.pepperFile(path))
	if err != nil {
		return err
	}
	if err := makeEpoch(epochPath(path), true); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make key store %s: %w", path, err)
	}
	if err := makeUsage(o.usageFile(path)); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make key store %s: %w", path, err)
	}
	if err := makeBallast(ballastPath(path)); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make key store %s: %w", path, err)
	}
	if l := openLock(lockPath(path)); l != nil { // or the first change makes it
		l.close()
	}
	temp, err := build(filepath.Dir(path), "mcpkeys-db-*.tmp", func(temp string) error { return fill(temp, peppers) })
	if err != nil {
		return fmt.Errorf("make key store %s: %w", path, err)
	}
	err = newfile.Publish(temp, path)
	if errors.Is(err, fs.ErrExist) {
		return existing(path)
	}
	if err != nil {
		return fmt.Errorf("make key store %s: %w", path, err)
	}
	return nil
}

func existing(path string) error {
	return fmt.Errorf("%s: %w: it stays as it is; choose another path, or use the key store that is there", path, fs.ErrExist)
}

func makePeppers(path string) (*keys.Peppers, error) {
	peppers, err := pepperfile.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return pepperfile.Create(path)
	}
	return peppers, err
}

// build makes a complete database under a temporary name. SQLite makes files 0644
// and gives its -wal and -shm the mode of the database, so the empty file is there
// first, 0600.
func build(dir, pattern string, fill func(temp string) error) (temp string, err error) {
	f, err := newfile.Temp(dir, pattern)
	if err != nil {
		return "", err
	}
	temp = f.Name()
	if err = f.Close(); err == nil {
		err = fill(temp)
	}
	if err != nil {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
			_ = os.Remove(temp + suffix) // most of them do not exist
		}
		return "", err
	}
	return temp, nil
}

func fill(path string, peppers *keys.Peppers) error {
	now := time.Now() //nolint:forbidigo // a note for people, nothing is decided by it
	return fillWith(path, func(db *sql.DB) error { return makeSchema(context.Background(), db, peppers, now) })
}

// fillWith closes the database too, which moves everything from the log into the file.
func fillWith(path string, do func(*sql.DB) error) error {
	db := openConns(writerDSN(path), 1, false)
	err := do(db)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if _, err := os.Lstat(path + "-wal"); err == nil {
		return errors.New("SQLite left its log behind")
	}
	return nil
}
