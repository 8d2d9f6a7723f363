package pepperfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/base/newfile"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
)

// The names of files on their way to replace one. They hold peppers, so what a crash
// left of them is removed by the next Replace.
const nextPrefix = "mcpkeys-pepper-next-"

// Replace lets change make other peppers of those in the file at path and puts them in
// the file's place, 0600, with its owner, flushed to the disk. It returns what the file
// then holds.
//
// At any moment the file holds the old peppers or the new ones, all of them. Of several
// processes that replace at once each waits for the one before it and changes what that
// one left, so no pepper is lost. When change returns the peppers that it was given
// nothing is written, nor when it fails: then Replace returns its error. Change may not
// call Replace.
//
// Where path is a symbolic link the file that it leads to is replaced. A file that is
// mounted by itself, as containers have it, cannot be replaced from within.
func Replace(path string, change func(*pepper.Set) (*pepper.Set, error)) (*pepper.Set, error) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	dir := filepath.Dir(target)
	unlock, err := newfile.Lock(dir)
	if err != nil {
		return nil, fmt.Errorf("replace pepper file %s: lock its directory: %w", path, err)
	}
	defer unlock()
	old, err := Load(target)
	if err != nil {
		return nil, err
	}
	next, err := change(old)
	if err != nil || next == old {
		return old, err
	}
	if err := put(target, next); err != nil {
		return nil, fmt.Errorf("replace pepper file %s: %w", path, err)
	}
	return next, nil
}

// put is called by one at a time.
func put(target string, next *pepper.Set) error {
	content := next.Encode()
	if len(content) >= maxSize {
		return errors.New("it would be too big; retire peppers that no key needs")
	}
	dir := filepath.Dir(target)
	removeLeft(dir)
	temp, err := writeTemp(dir, nextPrefix+"*.tmp", content)
	if err != nil {
		return err
	}
	return newfile.Replace(temp, target)
}

// removeLeft removes what a crash left. What cannot be removed is not ours, and so was
// not left by us.
func removeLeft(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "."+nextPrefix) {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
