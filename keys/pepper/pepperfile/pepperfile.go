// Package pepperfile keeps [pepper.Set] in a file of their own, apart from the
// database that they protect: a copy of the database alone verifies nothing and
// forges nothing.
//
// It refuses to make a pepper file where one is, because every key made under that
// would be dead at once, and to read one that others than its owner may read or write.
// No error repeats anything of the content. [Create] makes a file once, [Load]
// reads it at every start, and [Replace] adds a pepper to it or takes one away.
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

// maxSize bounds what Load reads: some five hundred peppers.
const maxSize = 64 << 10

// Create draws a fresh pepper and writes it to a new file, 0600 and flushed to
// the disk before Create returns. When path exists nothing is touched and the
// error is [fs.ErrExist].
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
	return fmt.Errorf("pepper file %s: %w: it is never replaced, because every key made with it would be dead", path, fs.ErrExist)
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
// then [fs.ErrNotExist]), is not a regular one, may be read or written by anybody
// but its owner, or cannot be parsed. A symbolic link to a file is followed.
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
		return nil, fmt.Errorf("pepper file %s: %w; name the one that is meant with --pepper or KEYCTL_PEPPER_FILE, or restore it from a backup", path, err)
	}
	// That comes last: nobody is told to change the mode of a file that is none of ours.
	if err := filemode.Refuse(path); err != nil {
		return nil, fmt.Errorf("pepper file: %w", err)
	}
	return peppers, nil
}

// IsOne reports whether a pepper file stands at path, whatever its mode and owner are.
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

// check looks before the file is opened: to open a named pipe would wait.
func check(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return unreadable(path, err)
	}
	return judge(path, info)
}

// read judges once more what it really opened.
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
		return fmt.Errorf("no pepper file at %s: restore it from your backup; without it every key in the database is dead: %w", path, fs.ErrNotExist)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("pepper file %s: this user may not read it; run as the user who owns it: %w", path, fs.ErrPermission)
	}
	return fmt.Errorf("read pepper file: %w", err)
}

func judge(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("pepper file %s: is not a regular file; name the one that is meant with --pepper or KEYCTL_PEPPER_FILE", path)
	}
	if info.Size() >= maxSize {
		return fmt.Errorf("pepper file %s: is too big to be one; restore it from a backup", path)
	}
	return nil
}
