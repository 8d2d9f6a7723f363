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

// The prefix of temporary files. They contain peppers, so the next Replace removes those
// that a crash left.
const nextPrefix = "mcpkeys-pepper-next-"

// Replace calls change with the peppers in the file at path and replaces the file with the
// result, 0600, with the same owner, flushed to the disk. It returns the new peppers.
//
// At any moment the file contains all of the old peppers or all of the new ones. Several
// processes that replace at once wait for each other, so no pepper is lost. If change
// returns the peppers that it was given, nothing is written; if it fails, nothing is
// written and Replace returns its error. Change must not call Replace.
//
// If path is a symbolic link, its target is replaced. A file that is mounted by itself, as
// in some containers, cannot be replaced from within.
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

// put is called by one process at a time.
func put(target string, next *pepper.Set) error {
	content := next.Encode()
	if len(content) >= maxSize {
		return errors.New("it would be too big; retire peppers that are not needed")
	}
	dir := filepath.Dir(target)
	removeLeft(dir)
	temp, err := writeTemp(dir, nextPrefix+"*.tmp", content)
	if err != nil {
		return err
	}
	return newfile.Replace(temp, target)
}

// removeLeft removes temporary files that a crash left. If one cannot be removed, another
// user made it.
func removeLeft(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "."+nextPrefix) {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
