// Package pepperfile keeps a [pepper.Set] in a file, apart from the database that it
// protects: a copy of the database alone does not suffice to verify or forge a key.
//
// Call [Create] once to make a file, [Load] at every start, and [Replace] to add or remove a
// pepper. It refuses to replace a pepper file with a new one, because the keys made with it
// could no longer be verified, and to read a file that other users may read or write. Errors
// never repeat the content.
package pepperfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mcpkeys/mcpkeys/internal/base/filemode"
	"github.com/mcpkeys/mcpkeys/internal/base/newfile"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

// maxSize limits what Load reads, to some five hundred peppers.
const maxSize = 64 << 10

// Create draws a fresh pepper and writes it to a new file, 0600 and flushed to
// the disk before Create returns. If path exists, nothing is changed and the error is
// [fs.ErrExist].
func Create(path string) (*pepper.Set, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, existing(path)
	}
	peppers, err := pepper.Generate()
	if err != nil {
		return nil, fmt.Errorf("make pepper: %w", err)
	}
	temp, err := writeTemp(filepath.Dir(path), "mcpkeys-pepper-*.tmp", peppers.Encode())
	if err != nil {
		return nil, fmt.Errorf("make pepper file: %w", err)
	}
	if err := newfile.Publish(temp, path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, existing(path)
		}
		return nil, fmt.Errorf("make pepper file: %w", err)
	}
	return peppers, nil
}

func existing(path string) error {
	return fmt.Errorf("pepper file %s already exists and is not replaced, because the keys made with it could no longer be verified: %w", path, fs.ErrExist)
}

func writeTemp(dir, pattern string, content []byte) (name string, err error) {
	f, err := newfile.Temp(dir, pattern)
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// Load reads the peppers at path. It refuses a file that is missing (the error is
// then [fs.ErrNotExist]), is not a regular one, may be read or written by other users
// than its owner, or cannot be parsed. A symbolic link to a file is followed.
func Load(path string) (*pepper.Set, error) {
	if err := check(path); err != nil {
		return nil, err
	}
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	peppers, err := pepper.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("pepper file %s: %w; name the right file with --pepper or KEYCTL_PEPPER_FILE, or restore it from a backup", path, err)
	}
	// Checked last, so that the advice to change a mode is never about another file.
	if err := filemode.Refuse(path); err != nil {
		return nil, fmt.Errorf("pepper file: %w", err)
	}
	return peppers, nil
}

// IsOne reports whether path is a pepper file, whatever its mode and owner.
func IsOne(path string) bool {
	if check(path) != nil {
		return false
	}
	text, err := read(path)
	if err != nil {
		return false
	}
	_, err = pepper.Parse(text)
	return err == nil
}

// check looks before the file is opened, because opening a named pipe would block.
func check(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return unreadable(path, err)
	}
	return judge(path, info)
}

// read checks again the file that it opened.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, unreadable(path, err)
	}
	if err := judge(path, info); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSize))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return text, nil
}

func unreadable(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &absentError{path}
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not read pepper file %s; run as the user that owns it: %w", path, fs.ErrPermission)
	}
	return fmt.Errorf("read pepper file: %w", err)
}

func judge(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("pepper file %s is not a regular file; name the right file with --pepper or KEYCTL_PEPPER_FILE", path)
	}
	if info.Size() >= maxSize {
		return fmt.Errorf("pepper file %s is too big; restore it from a backup", path)
	}
	return nil
}

// absentError is [fs.ErrNotExist] for the pepper file at path, in words.
type absentError struct{ path string }

func (e *absentError) Error() string {
	return fmt.Sprintf("pepper file %s not found; restore it from your backup, because no key can be verified without it", e.path)
}

func (e *absentError) Unwrap() error { return fs.ErrNotExist }
