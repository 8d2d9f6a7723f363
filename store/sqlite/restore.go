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

	"github.com/mcpkeys/mcpkeys/internal/base/filemode"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
	"github.com/mcpkeys/mcpkeys/store"
)

// Restoration is a verified backup that can replace a key store. [PrepareRestore] makes one,
// Run restores, Close removes its temporary files.
type Restoration struct {
	Backup  Snapshot
	Present *Snapshot // what would be replaced; nil if there is no key store, or it cannot be read
	Doubt   error     // why the present key store cannot be read or fully trusted; nil if it can
	Undone  Undone    // changes since the backup, as far as the present key store shows
	Missing Missing   // changes that the present key store lacks, so they are not in Undone

	Tampered []string // ids of keys, [audit.MaxFaults] at most, whose rows in the backup do not match their seals

	path, temp string
	exists     bool // there is a file at path
	options    *Options
	peppers    *pepper.Set
}

// RestoreOptions configures [Restoration.Run].
type RestoreOptions struct {
	Actor           audit.Actor      // for the audit log; required
	UndoRevocations bool             // make keys valid again that were revoked or disabled since the backup
	Now             func() time.Time // nil means time.Now
	Progress        Progress         // of the last step, the writing; may be nil
}

// Restored is the result of a restore.
type Restored struct {
	Kept     string // the copy of the replaced key store; empty if there was none
	CutAgain int    // keys that were revoked or disabled again
}

// PrepareRestore checks the backup and changes nothing: the backup must be an undamaged key
// store whose keys match its audit log, and the pepper file must have all its peppers. It
// also finds what restoring it at path would undo. A backup of an older mcpkeys is accepted.
//
// There may be a key store at path or none. Another file there, or a key store of a newer
// mcpkeys, is refused. A damaged key store can be replaced; Doubt then says that it is not
// known what is undone.
func PrepareRestore(ctx context.Context, path, backup string, o *Options) (*Restoration, error) {
	path, err := place(path)
	if err != nil {
		return nil, err
	}
	r := &Restoration{path: path, options: o}
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	if r.peppers, err = pepperfile.Load(o.pepperFile(path)); err != nil {
		return nil, err
	}
	if err := r.take(ctx, backup); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if r.exists {
		r.Present, r.Undone, err = r.compare(ctx, path)
		r.Doubt = errors.Join(r.Doubt, err)
	}
	r.Missing = r.lacking(ctx)
	r.Undone.used(ctx, r)
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close removes what was prepared. Run fails after it.
func (r *Restoration) Close() error {
	if r.temp != "" {
		discard(r.temp)
	}
	r.temp = ""
	return nil
}

// look refuses to restore over a file that is not a key store, or is too damaged for SQLite
// to write to. It reads only the start of the file.
func (r *Restoration) look(ctx context.Context) error {
	if err := refuseNetwork(filepath.Dir(r.path)); err != nil {
		return err
	}
	info, err := os.Lstat(r.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at %s: %w", r.path, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s exists and is not a regular file; choose another path: %w", r.path, fs.ErrExist)
	}
	r.exists = true
	if _, err := newSpot(r.path, r.path); err != nil {
		return err
	}
	db := openDB(readerDSN(r.path), 1)
	defer func() { _ = db.Close() }() // nothing was written
	tx, err := db.BeginTx(ctx, nil)
	if err == nil {
		defer func() { _ = tx.Rollback() }() // it was only read
		_, err = schemaOf(ctx, tx, r.path)
	}
	switch basic, _ := codes(err); {
	case err == nil:
	case basic == codeNotADB, basic == codeCorrupt:
		return fmt.Errorf("cannot restore into %s, because it is not a database or its first pages are damaged; if it was the key store, stop every program that has it open, move it and its -wal and -shm files away, and restore again: %w", r.path, err)
	default:
		return err
	}
	return nil
}

// take copies the backup, so that it cannot change during the restore, and checks the copy.
func (r *Restoration) take(ctx context.Context, backup string) error {
	from, err := place(backup)
	switch {
	case err != nil:
		return err
	case from == r.path:
		return &keys.InvalidError{Field: "backup", Reason: "is the key store itself; name a file that 'keyctl backup' made"}
	}
	info, err := os.Stat(from)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("backup %s not found; name a file that 'keyctl backup' made: %w", backup, fs.ErrNotExist)
	case err != nil:
		return fmt.Errorf("open backup: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a backup, because it is not a regular file; name a file that 'keyctl backup' made", backup)
	}
	if err := refuseBeside(from); err != nil {
		return err
	}
	if r.temp, err = copyOf(ctx, from, filepath.Dir(r.path), nil); err != nil {
		return unusable(backup, err)
	}
	if err := ours(ctx, r.temp, backup); err != nil {
		return err
	}
	if r.Backup, err = examine(ctx, r.temp, backup); err != nil {
		return unusable(backup, err)
	}
	r.Backup.Path = from
	return r.prove(ctx, backup)
}

// refuseBeside refuses files that SQLite would have to read together with the backup. A
// backup of mcpkeys never has a rollback journal, and SQLite does not read a file with one
// without writing to it.
func refuseBeside(backup string) error {
	for _, suffix := range []string{"-journal", "-wal", "-shm"} {
		name := backup + suffix
		if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("read backup: %s is %s; move it away", name, filemode.Other(name))
		}
	}
	if isJournal(backup + "-journal") {
		return fmt.Errorf("read backup: there is a file %s-journal, which no backup has: if it belongs to another database, move it away; if another program was changing the backup, use another backup", backup)
	}
	return nil
}

// ours makes sure that the copy is of a key store, of whatever version.
func ours(ctx context.Context, copied, backup string) error {
	db := openDB(readerDSN(copied), 1)
	defer func() { _ = db.Close() }() // nothing was written
	var application int
	if err := db.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&application); err != nil {
		return unusable(backup, err)
	}
	if application != applicationID {
		return fmt.Errorf("%s is not a backup of a key store; name a file that 'keyctl backup' made", backup)
	}
	return nil
}

// unusable explains an error of reading the backup.
func unusable(backup string, err error) error {
	switch basic, _ := codes(err); basic {
	case codeNotADB:
		return fmt.Errorf("%s is not a database; name a file that 'keyctl backup' made%w", backup, quiet{err})
	case codeCorrupt:
		return fmt.Errorf("%s is damaged; use another backup: %w", backup, err)
	}
	return fmt.Errorf("read backup: %w", err)
}

// prove checks the copy of the backup with the peppers, and its keys with its audit log, as
// 'keyctl audit verify' does. A row that does not match its seal is reported, but the backup
// is accepted: no server accepts that key, and the other keys are needed.
func (r *Restoration) prove(ctx context.Context, backup string) error {
	db := openDB(readerDSN(r.temp), 1)
	defer func() { _ = db.Close() }() // nothing was written
	if err := checkPeppers(ctx, db, r.peppers, r.options.pepperFile(r.path)); err != nil {
		return fmt.Errorf("read backup: %w", err)
	}
	report, err := verifyAlone(ctx, db, r.peppers)
	if err != nil {
		return fmt.Errorf("read backup: %w", err)
	}
	if f := report.Untold(); f != nil {
		return fmt.Errorf("read backup: %s does not match its audit log, so it was changed outside mcpkeys (%s); use another backup", backup, f.What())
	}
	for _, f := range report.Faults {
		r.Tampered = append(r.Tampered, f.KeyID)
	}
	return nil
}

// verifyAlone is [store.VerifyAudit] for a database in a file that only this process
// knows, such as the copy of a backup: no epoch belongs to it.
func verifyAlone(ctx context.Context, db *sql.DB, peppers *pepper.Set) (audit.Report, error) {
	r := &Reader{handle: handle{db: db}}
	r.peppers.Store(peppers)
	r.epoch.now.Store(&counter{})
	if err := r.prepare(ctx); err != nil {
		return audit.Report{}, err
	}
	defer func() { _ = errors.Join(r.keyByID.Close(), r.numbers.Close()) }() // nothing was written
	return store.VerifyAudit(ctx, alone{r}, nil)
}

type alone struct{ *Reader }

// Changes implements [feed.Feed]. The copy was checked when it was made: see examine.
func (alone) Changes(context.Context, feed.Position) (feed.Changes, error) {
	return feed.Changes{}, nil
}

// List implements [store.Reader], without last uses: they are in another file.
func (a alone) List(ctx context.Context, q keys.Query) (keys.Page, error) { return a.list(ctx, q) }

// attempts is how often a restore prepares under the lock that makes other writers wait.
// Only a program without that lock, such as a database shell, can make one fail.
const attempts = 3

// Run restores. It first copies the present key store to a new file beside it, named in
// Restored. Then it prepares a copy of the backup: a new generation, an audit row of the
// restore, and, unless o says otherwise, every revocation and disabling that the present
// key store has and the backup lacks. It writes that copy over the key store in one
// transaction: whenever the machine stops, there is the old key store or the new one. When
// Run returns, no process uses remembered keys of the old one.
//
// Processes that have the key store open keep it open, and continue with the restored one.
func (r *Restoration) Run(ctx context.Context, o RestoreOptions) (Restored, error) {
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default clock
	}
	if r.temp == "" {
		return Restored{}, errors.New("restore: it was closed")
	}
	done, err := r.attempt(ctx, o, false)
	for try := 1; errors.Is(err, errChanged) && try <= attempts; try++ {
		done, err = r.insist(ctx, o)
	}
	switch {
	case errors.Is(err, errChanged):
		return Restored{}, fmt.Errorf("restore: %w: another program changed the database again and again during the restore; stop it, and try again", keys.ErrUnavailable)
	case isWritten(err):
		return done, err
	case err != nil:
		return Restored{}, fmt.Errorf("restore: %w", err)
	}
	return done, nil
}

// insist is attempt while other writers wait. It is for the case that keys were changed
// during the first attempt; with constant changes no attempt would succeed.
func (r *Restoration) insist(ctx context.Context, o RestoreOptions) (Restored, error) {
	free, err := takeTurn(ctx, r.path)
	if err != nil {
		return Restored{}, err
	}
	defer free()
	return r.attempt(ctx, o, true)
}

// attempt restores over the key store as it is now, or fails with errChanged. It takes
// the writers' lock for its last step, unless its caller has it already.
func (r *Restoration) attempt(ctx context.Context, o RestoreOptions, locked bool) (done Restored, err error) {
	var present *Snapshot
	var undone Undone
	if err := r.renewPeppers(ctx); err != nil {
		return Restored{}, err
	}
	if r.exists {
		if done.Kept, err = r.keep(ctx, o.Now()); err != nil {
			return Restored{}, err
		}
		defer func() {
			if err != nil && !isWritten(err) { // the key store is as it was, so the copy is of no use
				_ = os.Remove(done.Kept)
			}
		}()
		present, undone, err = r.compare(ctx, done.Kept)
		if present == nil && r.Present != nil { // else Doubt has told
			return Restored{}, fmt.Errorf("find keys that must stay revoked: %w", err)
		}
	}
	missing, err := r.stillMissing(ctx) // after the copy was made: see unchanged
	if err != nil {
		return Restored{}, err
	}
	draft, err := copyOf(ctx, r.temp, filepath.Dir(r.path), nil)
	if err != nil {
		return done, err
	}
	defer discard(draft)
	if done.CutAgain, err = r.finish(ctx, draft, present, undone, missing, o); err != nil {
		return done, err
	}
	if !r.exists {
		return done, r.put(ctx, draft)
	}
	if !locked {
		free, err := takeTurn(ctx, r.path)
		if err != nil {
			return done, err
		}
		defer free()
	}
	return done, r.install(ctx, draft, present, o.Progress)
}

// renewPeppers reads the pepper file again: a pepper may have been retired since the backup
// was checked, and without it the restored key store would not open.
func (r *Restoration) renewPeppers(ctx context.Context) error {
	file := r.options.pepperFile(r.path)
	peppers, err := pepperfile.Load(file)
	if err != nil {
		return err
	}
	db := openDB(readerDSN(r.temp), 1)
	defer func() { _ = db.Close() }() // nothing was written
	if err := checkPeppers(ctx, db, peppers, file); err != nil {
		return fmt.Errorf("read backup: %w", err)
	}
	r.peppers = peppers
	return nil
}

// keep copies the key store before it is replaced, whatever its state.
func (r *Restoration) keep(ctx context.Context, now time.Time) (path string, err error) {
	temp, err := copyOf(ctx, r.path, filepath.Dir(r.path), nil)
	if err != nil {
		return "", fmt.Errorf("save the present key store: %w", err)
	}
	path = r.path + ".before-restore-" + now.UTC().Format("20060102T150405.000Z")
	if err := name(temp, path); err != nil {
		return "", fmt.Errorf("save the present key store: %w", err)
	}
	return path, nil
}
