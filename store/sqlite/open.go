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
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/pepper/pepperfile"
)

// Options configures [Create], [Open] and [OpenVerifier]. Nil and the zero value
// are ready for use.
type Options struct {
	PepperFile string // empty means the database's path with ".pepper" behind it
	UsageFile  string // where use is counted; empty means the database's path with ".usage" behind it

	// SameStore lets [Create] take a pepper file that belongs to a key store already, and
	// make that store again, empty and with the same id, because its database was lost.
	SameStore bool

	// CacheMiB is how many MiB of the database each connection that reads keeps in memory, up to
	// 64; 0 means 64. A command that reads all keys once needs few.
	CacheMiB int

	Now func() time.Time // the clock by which old usage counts and events go; nil means time.Now
}

func (o *Options) now() func() time.Time {
	if o == nil || o.Now == nil {
		return time.Now //nolint:forbidigo // the default clock
	}
	return o.Now
}

func (o *Options) cacheMiB() int {
	if o == nil || o.CacheMiB <= 0 {
		return cacheMiB
	}
	return min(o.CacheMiB, cacheMiB)
}

func (o *Options) pepperFile(path string) string {
	if o == nil || o.PepperFile == "" {
		return path + ".pepper"
	}
	return o.PepperFile
}

// Open opens the key store at path for reading and writing. Any number of processes may
// have it open. If there is none, the error is [fs.ErrNotExist].
//
// A key store of an older schema is first copied to a file beside it, named like
// keys.db.schema1, and then migrated.
func Open(path string, o *Options) (*Store, error) {
	given, path, err := locate(path)
	if err != nil {
		return nil, err
	}
	r, err := openReader(given, path, o, true)
	if err == nil && r.schema < schemaVersion {
		if err = errors.Join(r.Close(), migrate(context.Background(), path)); err == nil {
			r, err = openReader(given, path, o, true)
		}
	}
	if err != nil {
		return nil, err
	}
	watch := &schemaWatch{}
	s := &Store{
		Reader: r, lock: newFairLock(path, path), writer: openWatched(r.spot, writerDSN(path), 1, watch),
		writerWatch: watch, written: r.spot,
	}
	if err := s.ready(context.Background()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.restock()
	return s, nil
}

// OpenVerifier opens the key store at path for queries only, for a guarded server. It needs
// the pepper file, too. If there is no key store, the error is [fs.ErrNotExist].
func OpenVerifier(path string, o *Options) (*Reader, error) {
	given, path, err := locate(path)
	if err != nil {
		return nil, err
	}
	return openReader(given, path, o, false)
}

// openReader takes the epoch after the database: a counter that moves in between
// makes the first look superfluous, never missing.
func openReader(given, path string, o *Options, writable bool) (*Reader, error) {
	if err := inspect(path); err != nil {
		return nil, err
	}
	r := &Reader{given: given, path: path, writable: writable, cacheMiB: o.cacheMiB()}
	r.epoch.path, r.epoch.sharing = epochPath(path), share
	var err error
	if r.pepperFile, err = filepath.Abs(o.pepperFile(path)); err != nil {
		return nil, fmt.Errorf("find %s: %w", o.pepperFile(path), err)
	}
	if r.usage.path, err = filepath.Abs(o.usageFile(path)); err != nil {
		return nil, fmt.Errorf("find %s: %w", o.usageFile(path), err)
	}
	r.usage.now, r.usage.database, r.usage.lock = o.now(), path, newFairLock(r.usage.path, path)
	if r.handle, err = r.start(context.Background()); err != nil {
		return nil, err
	}
	r.epoch.open(writable)
	return r, nil
}

// locate makes path absolute, because the process may change its directory, and follows
// links, because all processes must find the same epoch file beside the database.
func locate(path string) (given, target string, err error) {
	if err := checkDriver(); err != nil {
		return "", "", err
	}
	if path == "" {
		return "", "", errors.New("the path of the key store is empty; name one, such as mcpkeys.db")
	}
	if given, err = filepath.Abs(path); err != nil {
		return "", "", fmt.Errorf("find %s: %w", path, err)
	}
	return given, resolve(given), nil
}

// place is where path leads.
func place(path string) (string, error) {
	_, path, err := locate(path)
	return path, err
}

// absentError is [fs.ErrNotExist] for the database at path, in words.
type absentError struct{ path string }

func (e *absentError) Error() string {
	return fmt.Sprintf("no key store at %s; make one with 'keyctl init'", e.path)
}

func (e *absentError) Unwrap() error { return fs.ErrNotExist }

// inspect looks at the file without opening it. To open and close it would drop
// the locks of any other connection that this process has on it.
func inspect(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &absentError{path}
	case err != nil:
		return fmt.Errorf("open key store: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a key store, because it is not a regular file; name the key store with --db or KEYCTL_DB", path)
	}
	return refuseNetwork(path)
}

// start opens the database, recognises it and prepares the statements. It comes before
// anything is opened for writing, so that another program's file is not changed. The files
// are checked before and after SQLite opens them: an overlay file system may have copied
// them up from a lower layer.
func (r *Reader) start(ctx context.Context) (handle, error) {
	for try := 1; ; try++ {
		h, err := r.tryStart(ctx)
		if err == nil || h.spot == nil {
			return h, err
		}
		if moved := h.spot.check(); moved == nil || try == 3 {
			return handle{}, errors.Join(err, h.db.Close())
		}
		abandon(h.db)
	}
}

func (r *Reader) tryStart(ctx context.Context) (h handle, err error) {
	at, err := newSpot(r.given, r.path)
	if err != nil {
		return handle{}, fmt.Errorf("open key store: %w", err)
	}
	open := readerDSN
	if layered(r.path) { // for reading it would be opened in the lower layer
		open, h.raised = raisingDSN, true
	}
	h.spot, h.watch = at, &schemaWatch{}
	h.db = openWatched(at, withCache(open(r.path), r.cacheMiB), readerConns(), h.watch)
	var peppers *pepper.Set
	h.schema, err = known(ctx, h.db, r.path)
	if err == nil {
		err = refuseOthers(r.path, r.pepperFile)
	}
	if err == nil {
		peppers, err = r.loadPeppers(ctx, &h)
	}
	if err == nil {
		err = h.prepare(ctx)
	}
	if err == nil {
		err = at.check()
	}
	if err == nil {
		r.peppers.Store(peppers)
	}
	return h, err
}

// recognise makes sure that a database is a key store as mcpkeys makes them, of a schema
// that this program knows, and returns which. It reads one state of it, because another
// process may be changing the schema.
func recognise(ctx context.Context, db *sql.DB, path string) (version int, err error) {
	return knownAnd(ctx, db, path, (*shape).altered)
}

// known is recognise for a database that may contain other objects: it can be read, and keys
// can be revoked in it. [Reader.Changes] reports the objects to programs that check keys.
func known(ctx context.Context, db *sql.DB, path string) (version int, err error) {
	return knownAnd(ctx, db, path, func(s *shape) error {
		if s.whole() {
			return nil
		}
		return s.altered()
	})
}

func knownAnd(ctx context.Context, db *sql.DB, path string, judge func(*shape) error) (version int, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, unopened(path, err)
	}
	defer func() { _ = tx.Rollback() }() // it was only read
	if version, err = schemaOf(ctx, tx, path); err != nil {
		return 0, err
	}
	s, err := readShape(ctx, tx)
	if err != nil {
		return 0, unopened(path, err)
	}
	if err := judge(s); err != nil {
		return version, fmt.Errorf("%s: %w", path, err)
	}
	return version, nil
}

// shapeNow reads and judges the shape of a database that is open.
func shapeNow(ctx context.Context, db *sql.DB) (*shape, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, unavailable("read schema", err)
	}
	defer func() { _ = tx.Rollback() }() // it was only read
	return readShape(ctx, tx)
}

// schemaOf returns the schema's version, which is one that this program knows.
func schemaOf(ctx context.Context, tx *sql.Tx, path string) (int, error) {
	var application, version int
	row := tx.QueryRowContext(ctx, `SELECT application_id, user_version FROM pragma_application_id, pragma_user_version`)
	if err := row.Scan(&application, &version); err != nil {
		return 0, unopened(path, err)
	}
	switch {
	case application != applicationID:
		return 0, fmt.Errorf("%s is not a key store; name the key store with --db or KEYCTL_DB", path)
	case version > schemaVersion:
		return 0, fmt.Errorf("%s was made by a newer mcpkeys (schema %d; this one knows %d); update this program", path, version, schemaVersion)
	case version < 1:
		return 0, fmt.Errorf("%s has schema %d, which mcpkeys did not write; restore a backup", path, version)
	}
	return version, nil
}

// refuseOthers comes last, so that the advice to change a mode is never about another
// program's file.
func refuseOthers(path, pepper string) error {
	files := []string{path, epochPath(path)} // SQLite gives -wal and -shm the mode of the database
	if pepperfile.IsOne(pepper) {
		files = append(files, pepper)
	}
	return filemode.Refuse(files...)
}

// unopened explains the most common failures of a first query.
func unopened(path string, err error) error {
	switch basic, _ := codes(err); basic {
	case codeNotADB:
		return fmt.Errorf("%s is not a database; name the key store with --db or KEYCTL_DB%w", path, quiet{err})
	case codeCorrupt:
		return fmt.Errorf("%s is damaged; restore a backup: %w", path, err)
	case codeCantOpen, codeReadOnly:
		return notWritable(path, err)
	}
	return unavailable("open key store "+path, err)
}

func notWritable(path string, err error) error {
	return fmt.Errorf("cannot open %s: this user must be able to write to it and its directory %s, even to read it, because SQLite keeps its -wal and -shm files there: %w", path, filepath.Dir(path), err)
}

// ready makes sure that writing is possible, before the first change. It does not take the
// write lock, so that commands that only list do not wait for a writer.
func (s *Store) ready(ctx context.Context) error {
	var mode string
	if err := s.writer.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return unopened(s.path, err)
	}
	if mode != "wal" {
		return fmt.Errorf("%s is on a file system without support for SQLite's write-ahead log; move it to a local disk", s.path)
	}
	if mayWrite(s.path) != nil || mayWrite(filepath.Dir(s.path)) != nil {
		return notWritable(s.path, fs.ErrPermission)
	}
	return nil
}
