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
	"strings"
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
	if err != nil {
		_ = os.Remove(temp) // after the rename it is gone already
	}
	return err
}

// publish uses a rename that fails where path exists. A link and an unlink do so as
// well, but a process that is killed between the two leaves a file with two names.
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

// linkNew is for systems and file systems without such a rename. [Finish] ends what a
// process that was killed half-way left behind.
func linkNew(temp, path string) error {
	if err := os.Link(temp, path); err != nil {
		return err
	}
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Finish removes the temporary name of the file at path, if a process was killed before
// it could do so. Other names of that file stay.
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
