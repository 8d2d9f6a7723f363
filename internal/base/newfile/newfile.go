// Package newfile puts a complete file in place under its name, so that a crash at any moment
// leaves either the previous state or the complete new file on the disk.
//
// Fill the file that [Temp] makes in the directory of the final name, then call [Publish].
// Publish never replaces a file: an existing one may be the only copy of a pepper. [Replace]
// does; call it only while you hold a [Lock] and have read the file that it replaces.
package newfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Temp makes an empty hidden file in dir, 0600. The error says if dir is missing or not
// writable.
func Temp(dir, pattern string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "."+pattern)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("directory %s not found; make it first: %w", dir, fs.ErrNotExist)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return nil, fmt.Errorf("this user may not write in directory %s; fix its permissions or choose another: %w", dir, fs.ErrPermission)
	}
	return nil, fmt.Errorf("make a file in %s: %w", dir, err)
}

// Publish makes temp durable, renames it to path and makes the name durable. Both must be in
// one directory. The name temp is gone afterwards, also after an error. If path exists, the
// error is [fs.ErrExist].
func Publish(temp, path string) error {
	err := publish(temp, path)
	if err != nil {
		_ = os.Remove(temp) // fails after the rename, which is fine
	}
	return err
}

// publish uses a rename that fails if path exists. Link and unlink do so as well, but a process
// that is killed between the two leaves a file with two names.
func publish(temp, path string) error {
	if err := flush(temp); err != nil {
		return fmt.Errorf("flush file to disk: %w", err)
	}
	if err := renameNew(temp, path); err != nil {
		return fmt.Errorf("put file in place: %w", err)
	}
	if err := flush(filepath.Dir(path)); err != nil {
		return fmt.Errorf("flush directory to disk: %w", err)
	}
	return nil
}

// linkNew is for systems and file systems without such a rename. [Finish] cleans up after a
// process that was killed half-way.
func linkNew(temp, path string) error {
	if err := os.Link(temp, path); err != nil {
		return err
	}
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Finish removes the temporary name of the file at path, if a process was killed before it
// could do so. Other names of that file stay.
func Finish(path string) error {
	file, err := os.Lstat(path)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if !strings.HasPrefix(e.Name(), ".mcpkeys-") || !strings.HasSuffix(e.Name(), ".tmp") {
			continue
		}
		if info, err := os.Lstat(name); err == nil && os.SameFile(info, file) {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// flush fsyncs the file or directory of that name.
func flush(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
