package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/mcpkeys/mcpkeys/internal/base/newfile"
)

// Progress is called now and then while pages of a database are copied, with the number
// copied and the total.
type Progress func(done, total int)

// copyPages is how many pages are copied between two looks at the context: 4 MiB.
const copyPages = 1024

// Backup copies the key store, as it is when Backup begins, into a new file at path,
// 0600, and checks the copy before it gets its name. Writers do not wait for it; changes
// made during the backup are not in the copy, and the log grows until the end. A nil
// progress is allowed.
//
// The copy is one file, for [PrepareRestore]. It contains neither the pepper, which must be
// kept separately, nor the usage counts.
//
// If path exists, nothing is changed and the error is [fs.ErrExist]. The backup appears
// whole or not at all. A killed process leaves a hidden file beside it, named
// .mcpkeys-copy-*.tmp.
//
// Close does not wait for Backup; cancel ctx to end it.
func (r *Reader) Backup(ctx context.Context, path string, progress Progress) (Snapshot, error) {
	if err := r.gate.refuseShut(); err != nil {
		return Snapshot{}, err
	}
	path, err := r.target(path)
	if err != nil {
		return Snapshot{}, err
	}
	return backup(ctx, r.path, path, progress)
}

// target makes path absolute, and refuses the name of an existing file, or of a file that
// SQLite or mcpkeys uses.
func (r *Reader) target(path string) (string, error) {
	path, err := place(path)
	if err != nil {
		return "", err
	}
	files := []string{r.path, r.pepperFile, r.usage.path, epochPath(r.path), ballastPath(r.path), lockPath(r.path), importPath(r.path), slotsPath(r.path), lockPath(r.usage.path)}
	for _, name := range slices.Clone(files) {
		files = append(files, name+"-wal", name+"-shm", name+"-journal")
	}
	if slices.Contains(files, path) {
		return "", fmt.Errorf("%s is a file of the key store itself; choose another name for the backup: %w", path, fs.ErrExist)
	}
	if _, err := os.Lstat(path); err == nil {
		return "", backedUp(path)
	}
	return path, nil
}

func backedUp(path string) error {
	return fmt.Errorf("%s already exists; choose another name for the backup, such as one with the date: %w", path, fs.ErrExist)
}

// backup copies the database at from to the new file at path.
func backup(ctx context.Context, from, path string, progress Progress) (Snapshot, error) {
	temp, err := copyOf(ctx, from, filepath.Dir(path), progress)
	if err != nil {
		return Snapshot{}, fmt.Errorf("back up %s: %w", from, err)
	}
	s, err := examine(ctx, temp, from)
	if err != nil {
		discard(temp)
		return Snapshot{}, fmt.Errorf("back up %s: the copy is not sound: %w", from, err)
	}
	s.Path = path
	if err := name(temp, path); err != nil {
		return Snapshot{}, fmt.Errorf("back up %s: %w", from, err)
	}
	return s, nil
}

// name gives a copy the name under which it stays.
func name(temp, path string) error {
	err := newfile.Publish(temp, path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return backedUp(path)
	case errors.Is(err, syscall.EPERM), errors.Is(err, errors.ErrUnsupported):
		return fmt.Errorf("this file system cannot name a copy without the risk of replacing another file; make the backup on a local disk, and copy it from there: %w", err)
	}
	return err
}

// copyOf copies the database at from, whatever it is, into a hidden file in dir, 0600,
// without a log.
func copyOf(ctx context.Context, from, dir string, progress Progress) (temp string, err error) {
	return build(dir, "mcpkeys-copy-*.tmp", func(temp string) error {
		if err := copyPagesTo(ctx, temp, from, progress); err != nil {
			return err
		}
		return standAlone(ctx, temp)
	})
}

func discard(temp string) {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal", "-epoch", ".ballast", "-lock", "-slots", ".usage", ".usage-lock"} {
		_ = os.Remove(temp + suffix) // most of them do not exist
	}
}

// copyPagesTo copies one state of the source. A read transaction keeps that state while
// others write; without it the copy would start again with each change.
func copyPagesTo(ctx context.Context, temp, from string, progress Progress) (err error) {
	source, closeSource, err := only(ctx, readerDSN(from))
	if err != nil {
		return unopened(from, err)
	}
	defer func() { _ = closeSource() }() // it was only read
	target, closeTarget, err := only(ctx, copyDSN(temp))
	if err != nil {
		return unavailable("open copy", err)
	}
	defer func() { err = errors.Join(err, closeTarget()) }()
	if err := hold(ctx, source); err != nil {
		return unopened(from, err)
	}
	return transferring(target, source, func(t transfer) error { return t.all(ctx, progress) })
}

// hold begins a transaction and fixes what it sees.
func hold(ctx context.Context, c *sql.Conn) error {
	if _, err := c.ExecContext(ctx, `BEGIN`); err != nil {
		return err
	}
	var objects int
	return c.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema`).Scan(&objects)
}

// all copies in small steps, so that it can be ended in between.
func (t transfer) all(ctx context.Context, progress Progress) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		done, err := t.step(copyPages)
		if err != nil {
			return unavailable("copy", err)
		}
		if progress != nil {
			progress(t.progress())
		}
		if done {
			return nil
		}
	}
}

// standAlone switches the copy out of WAL mode, so that it can be read on a read-only file
// system.
func standAlone(ctx context.Context, path string) error {
	c, closeAll, err := only(ctx, copyDSN(path))
	if err != nil {
		return unavailable("open copy", err)
	}
	var mode string
	err = c.QueryRowContext(ctx, `PRAGMA journal_mode = DELETE`).Scan(&mode)
	if err == nil && mode != "delete" {
		err = fmt.Errorf("its journal is %q", mode)
	}
	return unavailable("close copy", errors.Join(err, closeAll()))
}
