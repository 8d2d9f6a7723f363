package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// secretFile is a new file that only its owner may read. It never replaces one
// that is there, nor follows a link.
type secretFile struct {
	path string
	file *os.File
}

func newSecretFile(path string) (*secretFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("--out-file: %w; nothing was issued; name a new file", fs.ErrExist)
	}
	if err != nil {
		return nil, usagef("--out-file cannot be made (%v); nothing was issued; name a file in a directory that you may write to", bare(err))
	}
	return &secretFile{path: path, file: f}, nil
}

// bare is what the system said, without the path, which the user just typed.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func (f *secretFile) write(secret string) error {
	_, err := f.file.WriteString(secret + "\n")
	return errors.Join(err, f.file.Sync(), f.file.Close())
}

// remove takes back the file of a key that was not issued.
func (f *secretFile) remove() error {
	if f == nil {
		return nil
	}
	return errors.Join(f.file.Close(), os.Remove(f.path))
}
