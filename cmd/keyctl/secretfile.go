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

// newSecretFile makes the file; it is made before the secret is, and done says what
// did not happen if it cannot be: issued, rotated.
// Without a path there is none.
func newSecretFile(path, done string) (*secretFile, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("--out-file: %w; nothing was %s; name a new file", fs.ErrExist, done)
	}
	if err != nil {
		return nil, usagef("--out-file cannot be made (%v); nothing was %s; name a file in a directory that you may write to", bare(err), done)
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

// remove takes back the file of a secret that was not made.
func (f *secretFile) remove() error {
	if f == nil {
		return nil
	}
	return errors.Join(f.file.Close(), os.Remove(f.path))
}
