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

	"github.com/mcpkeys/mcpkeys/internal/base/newfile"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
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
	if err := refuseEpoch(epochPath(path)); err != nil {
		return fmt.Errorf("make key store %s: %w", path, err)
	}
	peppers, claimed, err := makePeppers(o.pepperFile(path), o)
	if err != nil {
		return err
	}
	if err := makeUsage(o.usageFile(path), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make key store %s: %w", path, err)
	}
	if err := makeBallast(ballastPath(path)); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make key store %s: %w", path, err)
	}
	if l := openLock(lockPath(path)); l != nil { // or the first change makes it
		l.close()
	}
	first := standing{id: newEpochID(), word: (leftTerm(epochPath(path)) + 1) << seqBits}
	temp, err := build(filepath.Dir(path), "mcpkeys-db-*.tmp", func(temp string) error {
		if err := fill(temp, peppers, first); err != nil {
			return err
		}
		return claim(o.pepperFile(path), peppers.Store())
	})
	if err != nil {
		return fmt.Errorf("make key store %s: %w", path, err)
	}
	err = putInPlace(path, temp, first, true)
	if err == nil {
		return nil
	}
	_, missing := os.Lstat(path)
	others := errors.Is(err, fs.ErrExist)
	if !claimed && (others || errors.Is(missing, fs.ErrNotExist)) { // else the database may be in its place all the same
		err = errors.Join(err, disclaim(o.pepperFile(path), peppers.Store()))
	}
	if others {
		return existing(path)
	}
	return fmt.Errorf("make key store %s: %w", path, err)
}

// refuseEpoch refuses what stands at the place of the epoch file and is none. It is asked
// before anything is made.
func refuseEpoch(path string) error {
	_, err := share(path, false)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil:
		return fmt.Errorf("%s is not an epoch file (%w); move it away", path, err)
	case leftTerm(path) >= maxTerm:
		return fmt.Errorf("%s is not an epoch file; move it away", path)
	}
	return nil
}

// putInPlace gives a finished database its place, which must be free, and its epoch file. What
// a database that was removed left behind would be taken for the log of this one, and
// goes first. Alone says that no process can have used another one.
func putInPlace(path, temp string, s standing, alone bool) error {
	unlock, err := newfile.Lock(filepath.Dir(path))
	if err != nil {
		return errors.Join(fmt.Errorf("lock %s: %w", filepath.Dir(path), err), os.Remove(temp))
	}
	defer unlock()
	if _, err := os.Lstat(path); err == nil {
		return errors.Join(fs.ErrExist, os.Remove(temp))
	}
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		_ = os.Remove(path + suffix) // mostly there is none
	}
	if err := takeOver(epochPath(path), s, alone); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return newfile.Publish(temp, path)
}

func existing(path string) error {
	return fmt.Errorf("%s already exists and was not changed; choose another path, or use that key store: %w", path, fs.ErrExist)
}

// makePeppers returns the peppers for a new key store, with its id, and whether the file
// has that id already. Otherwise it is written there last: see claim.
func makePeppers(path string, o *Options) (peppers *pepper.Set, claimed bool, err error) {
	peppers, err = pepperfile.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		peppers, err = pepperfile.Create(path)
	}
	switch {
	case err != nil:
		return nil, false, err
	case peppers.Store().IsZero():
		return peppers.ForStore(pepper.NewStoreID()), false, nil
	case o == nil || !o.SameStore:
		return nil, false, ofAnother(path)
	}
	return peppers, true, nil
}

func ofAnother(path string) error {
	return fmt.Errorf("pepper file %s belongs to another key store; name another pepper file, or, if the database of that store is lost and has no backup, use --same-store to make that store again: %w", path, fs.ErrExist)
}

// claim writes the store's id into the pepper file, when all else is made: from then on
// the file belongs to that store.
func claim(path string, id pepper.StoreID) error {
	_, err := pepperfile.Replace(path, func(old *pepper.Set) (*pepper.Set, error) {
		switch old.Store() {
		case id:
			return old, nil
		case pepper.StoreID{}:
			return old.ForStore(id), nil
		}
		return nil, ofAnother(path)
	})
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return &PepperLineError{path, "store " + id.String(), err}
}

// PepperLineError is a pepper file that must have one line more before a key store can be
// made with it, and that this process cannot write.
type PepperLineError struct {
	Path, Line string
	Cause      error
}

func (e *PepperLineError) Error() string {
	return fmt.Sprintf("pepper file %s cannot be written (%v). Add the line '%s' to it, and then make the key store with --same-store", e.Path, e.Cause, e.Line)
}

func (e *PepperLineError) Unwrap() error { return e.Cause }

// disclaim takes the id out of the pepper file again, because its store was not made: the
// next attempt uses the pepper.
func disclaim(one string, id pepper.StoreID) error {
	_, err := pepperfile.Replace(one, func(old *pepper.Set) (*pepper.Set, error) {
		if old.Store() != id {
			return old, nil
		}
		return old.ForStore(pepper.StoreID{}), nil
	})
	return err
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

func fill(path string, peppers *pepper.Set, s standing) error {
	now := time.Now() //nolint:forbidigo // a note for people, nothing is decided by it
	return fillWith(path, func(db *sql.DB) error { return makeSchema(context.Background(), db, peppers, s, now) })
}

// fillWith closes the database too, which moves everything from the log into the file.
func fillWith(path string, do func(*sql.DB) error) error {
	db := openConns(writerDSN(path), 1, false)
	err := do(db)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if _, err := os.Lstat(path + "-wal"); err == nil {
		return errors.New("SQLite did not remove its log")
	}
	return nil
}
