// Package newfile puts a finished file in place under its name, all of it or nothing,
// so that a crash at any moment leaves either what was there before or the whole new
// file on the disk.
//
// Fill the file that [Temp] makes in the directory of the final name, then call
// [Publish]. It never replaces anything: what exists under the name may be the only
// copy of a pepper. [Replace] does, and is for those alone who hold a [Lock] and have
// read what they replace.
package newfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Temp makes an empty hidden file in dir, 0600. The error says so when dir is missing
// or not writable.
func Temp(dir, pattern string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "."+pattern)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no directory %s; make it first: %w", dir, fs.ErrNotExist)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return nil, fmt.Errorf("this user may not write in the directory %s; fix its permissions or choose another: %w", dir, fs.ErrPermission)
	}
	return nil, fmt.Errorf("make a file in %s: %w", dir, err)
}

// Publish makes temp durable, gives it the name path and makes the name durable.
// Both must be in one directory. The name temp is gone afterwards, whatever the
// outcome. When path exists the error is [fs.ErrExist].
func Publish(temp, path string) error {
	err := publish(temp, path)
	if gone := os.Remove(temp); err == nil && gone != nil {
		err = fmt.Errorf("remove temporary file: %w", gone)
	}
	return err
}

// publish links instead of renaming: a rename would silently replace path.
func publish(temp, path string) error {
	if err := flush(temp); err != nil {
		return fmt.Errorf("flush file to disk: %w", err)
	}
	if err := os.Link(temp, path); err != nil {
		return fmt.Errorf("put file in place: %w", err)
	}
	if err := flush(filepath.Dir(path)); err != nil {
		return fmt.Errorf("flush directory to disk: %w", err)
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
