package sqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/filemode"
	"github.com/mcpkeys/mcpkeys/internal/base/newfile"
	"github.com/mcpkeys/mcpkeys/keys"
)

//go:embed usage.sql
var usageSchema string

// The numbers in the header of a usage file.
const (
	usageApplicationID = 0x6d637075 // "mcpu"
	usageVersion       = 2
)

func (o *Options) usageFile(path string) string {
	if o == nil || o.UsageFile == "" {
		return path + ".usage"
	}
	return o.UsageFile
}

// usageWriterDSN differs from that of keys in one thing: a power cut may lose the counts of
// the last seconds, as a crash loses counts that were not written yet. Counts decide
// nothing, and flushing the disk for them every five seconds would slow down changes of
// keys. The file stays intact either way.
func usageWriterDSN(path string) string {
	return dsn(path, url.Values{
		"mode":          {"rw"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"NORMAL"},
		"_busy_timeout": {busyMillis},
		"_txlock":       {"immediate"},
		"_cache_size":   {cachePages},
	})
}

// makeUsage makes an empty usage file for the database, whole or not at all. One that is there stays,
// and the error is [fs.ErrExist].
//
// The -wal and -shm of a removed file are removed first, or SQLite would use them for the
// new one. Processes that still have the old file open keep it, and then open this one.
func makeUsage(path, database string) error {
	dir := filepath.Dir(path)
	if err := refuseNetwork(dir); err != nil {
		return err
	}
	temp, err := build(dir, "mcpkeys-usage-*.tmp", func(temp string) error {
		if err := fillUsage(temp); err != nil {
			return err
		}
		f, err := os.Open(temp)
		if err == nil {
			makeLike(f, database)
			err = f.Close()
		}
		return err
	})
	if err != nil {
		return err
	}
	unlock, err := newfile.Lock(dir)
	if err != nil {
		return errors.Join(fmt.Errorf("lock %s: %w", dir, err), os.Remove(temp))
	}
	defer unlock()
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		for _, suffix := range []string{"-wal", "-shm", "-journal"} {
			_ = os.Remove(path + suffix) // mostly there is none
		}
	}
	return newfile.Publish(temp, path)
}

func fillUsage(path string) error {
	ctx, now := context.Background(), time.Now() //nolint:forbidigo // when counting began: now
	return fillWith(path, func(db *sql.DB) error {
		return inTx(ctx, db, func(tx *sql.Tx) error {
			numbers := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", usageApplicationID, usageVersion)
			if _, err := tx.ExecContext(ctx, numbers+usageSchema); err != nil {
				return unavailable("make schema", err)
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO counting (since) VALUES (?)`, micros(now))
			return unavailable("make schema", err)
		})
	})
}

// check opens the file for queries, to find out whether it may be written to.
func (u *usageFile) check(ctx context.Context) error {
	return u.read(ctx, func(*sql.DB) error { return nil })
}

// inspect looks at the file without opening it.
func (u *usageFile) inspect() error {
	info, err := os.Stat(u.path)
	link, _ := os.Lstat(u.path)
	switch {
	case err != nil && link != nil && link.Mode()&fs.ModeSymlink != 0:
		return unknown(err, "%s is a symbolic link that leads to no file; remove it", u.path)
	case errors.Is(err, fs.ErrNotExist):
		return unknown(nil, "no usage file at %s; the next server that counts use creates it", u.path)
	case err != nil:
		return unknown(err, "open usage file: %v", err)
	case !info.Mode().IsRegular():
		return unknown(nil, "%s is not a regular file, so not a usage file; move it away", u.path)
	}
	if isJournal(u.path + "-journal") {
		return unknown(nil, "%s-journal is not of the usage file, and SQLite would write it into that: move it away", u.path)
	}
	if err := filemode.Refuse(u.path); err != nil {
		return unknown(nil, "%v", err)
	}
	if err := refuseNetwork(u.path); err != nil {
		return unknown(err, "%v", err)
	}
	return nil
}

// recognise makes sure that the database that db calls name is a usage file, with the
// tables and indexes of mcpkeys and nothing else: a view in place of a table, or a trigger,
// would run in this process.
func (u *usageFile) recognise(ctx context.Context, db *sql.DB, name string) error {
	var application, version int
	err := db.QueryRowContext(ctx, `PRAGMA `+name+`.application_id`).Scan(&application)
	if err == nil {
		err = db.QueryRowContext(ctx, `PRAGMA `+name+`.user_version`).Scan(&version)
	}
	switch {
	case err != nil:
		return u.explain(unavailable("open", err))
	case application != usageApplicationID:
		return unknown(nil, "%s is not a usage file; move it away", u.path)
	case version < usageVersion:
		return unknown(nil, "%s was made by an earlier mcpkeys (schema %d; this one knows %d); remove it, and counts begin again", u.path, version, usageVersion)
	case version > usageVersion:
		return unknown(nil, "%s has schema %d, and this mcpkeys knows %d; use the version that made it, or remove it", u.path, version, usageVersion)
	}
	strange, missing, err := compareSchema(ctx, db, name, usageSchema)
	switch {
	case err != nil:
		return u.explain(unavailable("open", err))
	case strange != "":
		return unknown(nil, "%s contains the %s, which mcpkeys did not make; find out what made it, and remove the file", u.path, strange)
	case missing > 0:
		return unknown(nil, "%s lacks %d of its tables and indexes; remove it", u.path, missing)
	}
	return nil
}

// explain names the file that a failure is of.
func (u *usageFile) explain(err error) error {
	if err == nil {
		return nil
	}
	switch basic, _ := codes(err); basic {
	case codeCorrupt, codeNotADB:
		return unknown(err, "usage file %s is damaged; remove it, and it is created again; it holds statistics, not keys", u.path)
	}
	return fmt.Errorf("usage file %s: %w", u.path, err)
}

// unknownError is a [keys.ErrUnavailable] with its own text, because the usage file fails
// and not the key store.
type unknownError struct {
	text  string
	cause error
}

func unknown(cause error, text string, args ...any) error {
	return &unknownError{fmt.Sprintf(text, args...), cause}
}

func (e *unknownError) Error() string        { return e.text }
func (e *unknownError) Unwrap() error        { return e.cause }
func (e *unknownError) Is(target error) bool { return target == keys.ErrUnavailable }
