package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// These functions check the parts of a key store one by one, for doctor, also if the store
// cannot be opened. They change nothing.

// Places are the files of a key store. Not all of them need be there.
type Places struct {
	Database, Log, Shared string // SQLite's: the file, its -wal and its -shm
	Pepper                string
	Usage                 string
	Epoch                 string
	Ballast               string
	Locks                 []string // of writers, of imports, of slots, and of those who count use
}

// PlacesOf names the files of the key store at path, absolute and without links.
func PlacesOf(path string, o *Options) (Places, error) {
	path, err := place(path)
	if err != nil {
		return Places{}, err
	}
	pepper, err1 := filepath.Abs(o.pepperFile(path))
	usage, err2 := filepath.Abs(o.usageFile(path))
	if err := errors.Join(err1, err2); err != nil {
		return Places{}, fmt.Errorf("find the files of %s: %w", path, err)
	}
	return Places{
		Database: path, Log: path + "-wal", Shared: path + "-shm",
		Pepper: pepper, Usage: usage, Epoch: epochPath(path), Ballast: ballastPath(path), Locks: []string{lockPath(path), importPath(path), slotsPath(path), lockPath(usage)},
	}, nil
}

// Examine reads the whole database, page by page, and returns its snapshot. It refuses one
// that is damaged or that mcpkeys did not make, and does not open one that [CheckPlace]
// refuses. It needs no pepper.
func Examine(ctx context.Context, path string) (Snapshot, error) {
	if err := inspect(path); err != nil {
		return Snapshot{}, err
	}
	if err := CheckPlace(path); err != nil {
		return Snapshot{}, err
	}
	return examine(ctx, path, path)
}

// CheckFileSystem refuses to have a key store in a directory on a network file system.
func CheckFileSystem(dir string) error { return refuseNetwork(dir) }

// CheckWritable makes sure that this user may write the file and its directory, where
// SQLite keeps what all its users share.
func CheckWritable(path string) error {
	if mayWrite(path) != nil || mayWrite(filepath.Dir(path)) != nil {
		return notWritable(path, fs.ErrPermission)
	}
	return nil
}

// settings is what every connection that writes is opened with, and why it matters.
var settings = []struct{ name, want, otherwise string }{
	{"journal_mode", "wal", "readers and writers would wait for each other"},
	{"synchronous", "2", "a power cut could take back a revocation"},
	{"foreign_keys", "1", "secrets without a key would be possible"},
	{"trusted_schema", "0", "a planted view could call functions with side effects"},
	{"cell_size_check", "1", "a damaged page would be noticed late"},
}

// CheckSettings opens the database as a writer does, and refuses a wrong setting. A database
// that is not in WAL mode is not opened, because that would change it. One that lacks changes
// is opened read-only, because closing it as a writer would move a log into it that may
// belong to another database.
func CheckSettings(ctx context.Context, path string) error {
	if err := CheckPlace(path); err != nil {
		return err
	}
	list := []string{readerDSN(path), writerDSN(path)}
	if _, err := CheckPosition(ctx, path); err != nil {
		list = list[:1]
	}
	for _, dsn := range list {
		if err := checkSettings(ctx, dsn); err != nil {
			return err
		}
	}
	return nil
}

func checkSettings(ctx context.Context, dsn string) error {
	db := openDB(dsn, 1)
	defer func() { _ = db.Close() }() // nothing was written
	for _, s := range settings {
		var got string
		if err := db.QueryRowContext(ctx, `PRAGMA `+s.name).Scan(&got); err != nil {
			return unavailable("read settings", err)
		}
		if got != s.want {
			return fmt.Errorf("%s is %s instead of %s: %s; build with the driver that go.mod names", s.name, got, s.want, s.otherwise)
		}
	}
	return nil
}

// CheckBallast makes sure that the ballast occupies disk space. A missing one is
// [fs.ErrNotExist].
func CheckBallast(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.Size() < ballastSize || occupied(info) < ballastSize:
		return fmt.Errorf("%s does not occupy the %d MiB that it reserves; remove it, and the next change creates it again", path, ballastSize>>20)
	}
	return nil
}

// FreeSpace is how many bytes this user may still write in dir, and how many are enough
// for the ballast to be created again.
func FreeSpace(dir string) (free, enough int64, err error) {
	free, err = freeSpace(dir)
	return free, restockAt, err
}

// CheckUsage makes sure that counts of use can be read.
func (r *Reader) CheckUsage(ctx context.Context) error {
	return r.usage.read(ctx, func(*sql.DB) error { return nil })
}
