package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/mcpkeys/mcpkeys/internal/base/newfile"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
	"github.com/mcpkeys/mcpkeys/store"
)

// A database gets another id when a restore or [Mend] replaces the state that processes know.
// The order makes sure that none of them accepts anything in between, whenever the machine
// stops: remove the id from the page, commit the database, raise the position, write the new
// id. A state that a crash leaves in between is refused, and [Mend] completes it.

// withdraw removes the id from the page, so that every process refuses. Back restores it
// if nothing was changed.
func withdraw(path string) (back func(), err error) {
	p, err := share(epochPath(path), true)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return func() {}, fmt.Errorf("%w: %s cannot be written: %w", keys.ErrUnavailable, epochPath(path), err)
	}
	if err != nil {
		return func() {}, nil //nolint:nilerr // without a page every process refuses already
	}
	was, ok := p.standing()
	if !ok || !p.setID(epochID{}) || !p.add() {
		return func() {}, errCutShort
	}
	return func() {
		p.setID(was.id)
		p.add()
	}, p.flush()
}

// instate writes the id and the position of the committed database into the page, and
// returns when every process must have looked, and no verifier on another host uses the state
// before. No lease is granted between [withdraw] and the new id, because no server can look.
// From the id on each floor is of another generation, so it is behind.
func instate(ctx context.Context, path string, s standing) error {
	e := epoch{path: epochPath(path), sharing: share}
	defer e.close()
	c := e.open(true)
	if c.page == nil && canShare {
		if err := remakeEpoch(e.path, s); err != nil {
			return err
		}
		c = e.open(true)
	}
	if c.page == nil {
		if !canShare {
			return nil
		}
		return fmt.Errorf("%w: %s %w", keys.ErrUnavailable, e.path, e.why)
	}
	if err := c.page.become(s); err != nil {
		return fmt.Errorf("%w: %s: %w", keys.ErrUnavailable, e.path, err)
	}
	since := clock()
	c.settle()
	all := &committer{database: path, page: c.page, position: s.word, since: since}
	_, err := all.everywhere(ctx, store.WaitFrom(ctx))
	return err
}

// remakeEpoch makes the file if there is none, or one that is cut short or not an epoch
// file.
func remakeEpoch(path string, s standing) error {
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not an epoch file, because it is not a regular file; move it away", path)
	}
	if err == nil {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return makeEpoch(path, s, false)
}

// renewID gives the database a new id, and a generation above those of the database and
// of the page at path. It ignores a damaged word in the page, which could be the largest
// generation.
func renewID(ctx context.Context, tx *sql.Tx, path string) error {
	var term int64
	if err := tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = ?`, metaTerm).Scan(&term); err != nil {
		return unavailable("read generation", err)
	}
	if left := int64(leftTerm(epochPath(path))); left <= term+maxTermsAhead { //nolint:gosec // 16 bits
		term = max(term, left)
	}
	if term++; term > maxTerm {
		return fmt.Errorf("%w: the database is at generation %d, which mcpkeys did not write; restore a backup", keys.ErrUnavailable, term-1)
	}
	id := newEpochID()
	for name, value := range map[string]any{metaGeneration: uuid.NewString(), metaTerm: term, metaEpochID: id[:]} {
		if err := setMeta(ctx, tx, name, value); err != nil {
			return err
		}
	}
	return nil
}

func setMeta(ctx context.Context, tx *sql.Tx, name string, value any) error {
	return unavailable("write meta", exactlyOne(tx.ExecContext(ctx, `UPDATE meta SET value = ? WHERE name = ?`, value, name)))
}

// standingOf reads where the database at path stands.
func standingOf(ctx context.Context, path string) (standing, error) {
	db := openDB(readerDSN(path), 1)
	defer func() { _ = db.Close() }() // nothing was written
	n, err := numbersOf(ctx, db)
	if err != nil {
		return standing{}, err
	}
	return n.standing()
}

// CheckPlace refuses a key store whose files can be reached by two names or are mounted
// one by one, or have files of other databases beside them.
func CheckPlace(path string) error {
	given, path, err := locate(path)
	if err == nil {
		_, err = newSpot(given, path)
	}
	return err
}

// CheckPosition compares the database at path with its epoch page, without a pepper. With
// an error it returns how many acknowledged changes the database lacks, as far as known.
// [Mend] can repair a [*feed.MisplacedError]. Files that [CheckPlace] refuses are not opened,
// because SQLite would make a log for a database that lost its own.
func CheckPosition(ctx context.Context, path string) (missing uint64, err error) {
	given, path, err := locate(path)
	if err != nil {
		return 0, err
	}
	if err := inspect(path); err != nil {
		return 0, err
	}
	at, err := newSpot(given, path)
	if err != nil {
		return 0, err
	}
	r := &Reader{given: given, path: path}
	r.epoch.path, r.epoch.sharing = epochPath(path), share
	r.db = openAt(at, readerDSN(path), 1)
	defer func() { _ = r.db.Close() }() // nothing was written
	r.epoch.open(false)
	defer r.epoch.close()
	_, err = r.stand(func() (numbers, error) { return numbersOf(ctx, r.db) })
	var behind *behindError
	if errors.As(err, &behind) {
		missing = behind.missing
	}
	return missing, err
}

// Mend makes the database usable as it is, if its epoch file is missing, belongs to another
// database, or knows changes that the database lacks. Those changes are lost, perhaps
// revocations among them: ask the operator first. The database and its audit chain must be
// intact, and its peppers must be in the pepper file. It returns false if there was nothing
// to repair.
func Mend(ctx context.Context, path string, o *Options, actor audit.Actor, now time.Time) (bool, error) {
	given, path, err := locate(path)
	if err != nil {
		return false, err
	}
	unlock, err := newfile.Lock(filepath.Dir(path))
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", filepath.Dir(path), err)
	}
	defer unlock()
	missing, why := CheckPosition(ctx, path)
	if why == nil || !canShare {
		return false, nil
	}
	if fixable := (*feed.MisplacedError)(nil); !errors.As(why, &fixable) {
		return false, why
	}
	id, err := mendable(ctx, path, o)
	if err != nil {
		return false, fmt.Errorf("%w; restore a backup with 'keyctl restore'", err)
	}
	at, err := newSpot(given, path)
	if err != nil {
		return false, err
	}
	free, err := takeTurn(ctx, path)
	if err != nil {
		return false, err
	}
	defer free()
	db := openAt(at, writerDSN(path), 1)
	err = mend(ctx, db, at, id, missing, actor, now)
	if at.check() != nil {
		abandon(db)
		return err == nil, err
	}
	return err == nil, errors.Join(err, db.Close())
}

// mendable makes sure that the database is one whole state of the key store that the
// pepper file names, and returns the id of that.
func mendable(ctx context.Context, path string, o *Options) (pepper.StoreID, error) {
	if _, err := examine(ctx, path, path); err != nil {
		return pepper.StoreID{}, err
	}
	peppers, err := pepperfile.Load(o.pepperFile(path))
	if err != nil {
		return pepper.StoreID{}, err
	}
	db := openDB(readerDSN(path), 1)
	defer func() { _ = db.Close() }() // nothing was written
	if err := checkPeppers(ctx, db, peppers, o.pepperFile(path)); err != nil {
		return pepper.StoreID{}, err
	}
	_, err = audit.VerifyChain(chain(ctx, db))
	return peppers.Store(), err
}

func mend(ctx context.Context, db *sql.DB, at *spot, id pepper.StoreID, missing uint64, actor audit.Actor, now time.Time) error {
	e, err := audit.NewEvent(ctx, actor, audit.ActionMend, now, map[string]any{"missing_changes": missing})
	if err != nil {
		return err
	}
	if _, err := withdraw(at.path); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errCutShort) {
		return err
	}
	var next standing
	err = inTx(ctx, db, func(tx *sql.Tx) error {
		if err := at.check(); err != nil {
			return err
		}
		if err := renewID(ctx, tx, at.path); err != nil {
			return err
		}
		if err := countOn(ctx, tx, missing); err != nil {
			return err
		}
		if _, err := appendEvent(ctx, tx, "", e); err != nil {
			return err
		}
		next, err = mended(ctx, tx, id)
		return err
	})
	if err != nil {
		return err
	}
	return instate(ctx, at.path, next)
}

// countOn gives the database a change number above its own and above those it lacks: see
// counterAt.
func countOn(ctx context.Context, tx *sql.Tx, missing uint64) error {
	return unavailable("write meta", exactlyOne(tx.ExecContext(ctx,
		`UPDATE meta SET value = value + ? WHERE name = ?`, int64(missing)+1, metaChangeSeq))) //nolint:gosec // at most maxMissing
}

// mended checks just before the commit that the database is as mcpkeys makes it, and returns
// its position.
func mended(ctx context.Context, tx *sql.Tx, id pepper.StoreID) (standing, error) {
	s, err := readShape(ctx, tx)
	if err == nil {
		err = s.altered()
	}
	if err != nil {
		return standing{}, err
	}
	n, err := numbersOf(ctx, tx)
	if err == nil {
		err = n.altered(id)
	}
	if err != nil {
		return standing{}, err
	}
	return n.standing()
}
