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
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
	"github.com/mcpkeys/mcpkeys/store"
)

// Restoration is a backup that was found good, about to take the place of a key store.
// [PrepareRestore] makes one, Run restores, Close forgets it.
type Restoration struct {
	Backup  Snapshot
	Present *Snapshot // what would be replaced; nil when there is no key store, or it cannot be read
	Doubt   error     // why the present key store cannot be read, or is not to be believed in all; nil when there is none
	Undone  Undone    // what was done since the backup, as far as the present key store tells
	Missing Missing   // what the present key store lacks, so that Undone does not tell it

	Tampered []string // ids of keys, [audit.MaxFaults] at most, whose rows in the backup do not match their seals

	path, temp string
	exists     bool // there is a file at path
	options    *Options
	peppers    *pepper.Set
}

// RestoreOptions configures [Restoration.Run].
type RestoreOptions struct {
	Actor           audit.Actor      // who restores, for the audit log; required
	UndoRevocations bool             // let keys that were revoked or disabled since the backup be good again
	Now             func() time.Time // nil means time.Now
	Progress        Progress         // of the last step, the writing; may be nil
}

// Restored is what came of a restore.
type Restored struct {
	Kept     string // the file with what was replaced; empty when there was nothing
	CutAgain int    // keys that were revoked or disabled again
}

// PrepareRestore looks at the backup, and changes nothing: that it is a key store, whole
// with an audit chain that holds, and keys as that tells; that the pepper file at hand has all that it needs;
// and what restoring it at path would undo. A backup of an older mcpkeys is fine.
//
// There may be a key store at path or none. What is there and is no key store, or is one
// of a newer mcpkeys, is refused. A key store that is damaged can be restored over, and
// Doubt then says that it cannot be told what is undone.
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

// Close removes what was prepared. Nothing can be restored afterwards.
func (r *Restoration) Close() error {
	if r.temp != "" {
		discard(r.temp)
	}
	r.temp = ""
	return nil
}

// look refuses to restore over what is not ours, or so damaged that SQLite cannot write
// to it. It reads no more than the beginning.
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
		return fmt.Errorf("%s: %w: it is not a regular file; choose another path", r.path, fs.ErrExist)
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

// take copies the backup, so that nobody can change it under us, and makes sure that the
// copy is good.
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

// refuseBeside refuses what SQLite would read together with the backup and cannot. A
// rollback journal comes with no backup of ours, and SQLite does not read a file that has
// one without writing to it.
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

// unusable says what to do about a backup that cannot be read.
func unusable(backup string, err error) error {
	switch basic, _ := codes(err); basic {
	case codeNotADB:
		return fmt.Errorf("%s is not a database; name a file that 'keyctl backup' made: %w", backup, err)
	case codeCorrupt:
		return fmt.Errorf("%s is damaged; use another backup: %w", backup, err)
	}
	return fmt.Errorf("read backup: %w", err)
}

// prove holds the copy of the backup against the peppers, and its keys against its audit
// log, as 'keyctl audit verify' does. A row that does not match its seal is told and no
// reason to refuse the backup: no server accepts that key, and all others may need it.
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

// Changes implements [keys.Feed]. Whoever made the copy has looked whether it is as mcpkeys
// left it: see examine.
func (alone) Changes(context.Context, keys.Position) (keys.Changes, error) {
	return keys.Changes{}, nil
}

// List implements [store.Reader], without last uses: they are in another file.
func (a alone) List(ctx context.Context, q keys.Query) (keys.Page, error) { return a.list(ctx, q) }

// attempts is how often a restore prepares under the lock that keeps other writers
// waiting. Only what does not take turns, such as a database shell, can undo the first.
const attempts = 3

// Run restores. What is at path now is copied first, to a new file beside it whose name
// Restored tells; then everything is prepared in a copy of the backup: a new generation,
// an audit row of the restore, and, unless o says otherwise, once more each revocation
// and each disabling that the present key store has and the backup has not. The copy is
// written over the key store in one transaction: whenever the machine stops, there is the
// old key store or the new one. When Run returns every process has forgotten the old one.
//
// Processes that have the key store open keep it open, and go on with the restored one.
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

// insist is attempt while other writers wait. It comes when keys were changed during the
// first attempt: where they are changed all the time none would ever end.
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

// renewPeppers reads the pepper file once more: a pepper may have been retired since the
// backup was looked at, and without it the restored key store would not open.
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

// keep copies what is about to be replaced, in whatever state it is.
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
