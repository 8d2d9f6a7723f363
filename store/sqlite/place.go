package sqlite

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/mcpkeys/mcpkeys/internal/base/filemode"
	"github.com/mcpkeys/mcpkeys/internal/base/newfile"
	"github.com/mcpkeys/mcpkeys/internal/base/shell"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// All processes must have the same files open, or a revocation by one does not reach the
// others. SQLite does not notice a difference: it keeps the files that it opened, and finds
// the -wal and -shm by the name of the database. So the open files are compared with those
// at their names before each look, each write and each close. They are compared by stat,
// because opening and closing a database file drops SQLite's locks in this process.
//
// SQLite must not even close a database whose files were replaced. The last connection to
// close moves the log into the database by its own index, and would undo what other
// processes wrote under another index. Such connections are abandoned.

// spot is a place where a key store was opened, and the files that were found there.
type spot struct {
	given string // as the caller named it; links in it are followed again each time
	path  string // where that led

	mu    sync.Mutex
	files [3]fileID // of the database, its log and its shared memory; zero until SQLite made it
	lost  error     // the log or the memory was replaced, so SQLite's state in this process is useless
}

// suffixes of the files of a spot.
var suffixes = [3]string{"", "-wal", "-shm"}

// sight is what stat tells of a file.
type sight struct {
	id      fileID
	links   uint64
	mounted bool // it is a mount point of its own
	regular bool
}

// newSpot checks the files before anything is opened, and refuses files that other processes
// may reach by another path. Path has its links resolved.
func newSpot(given, path string) (*spot, error) {
	s := &spot{given: given, path: path}
	if err := refuseLeftOvers(path); err != nil {
		return nil, err
	}
	for _, name := range []string{path, epochPath(path)} {
		if seen, err := see(name); err == nil && seen.links > 1 {
			_ = newfile.Finish(name) // or the other name is reported below
		}
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

// refuseLeftOvers refuses files that SQLite would take for the database's own. A rollback
// journal is never ours, because a key store is always in WAL mode; SQLite would write
// what is in it into the database. Shared memory without a log means that the log was
// removed: processes that still use that memory look for changes in a log that is gone.
func refuseLeftOvers(path string) error {
	if isJournal(path + "-journal") {
		return fmt.Errorf("%w: %s-journal does not belong to this key store, and SQLite would write it into the database; move it away", keys.ErrUnavailable, path)
	}
	_, log := os.Lstat(path + "-wal")
	memory, err := os.Lstat(path + "-shm")
	if errors.Is(log, fs.ErrNotExist) && err == nil && memory.Size() > 0 {
		return fmt.Errorf("%w: %s-wal was removed; stop every program that uses this key store, remove %s-shm, and run 'keyctl doctor' to see whether changes are missing", keys.ErrUnavailable, path, path)
	}
	return nil
}

// isJournal reports whether SQLite may take what stands at path for a rollback journal: one
// that is empty is none.
func isJournal(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Size() > 0
}

// check makes sure that the files are still the same, and that other processes find the same
// epoch file.
func (s *spot) check() error {
	if err := s.checkFiles(); err != nil {
		return err
	}
	return refuseShared(epochPath(s.path))
}

// checkFiles is check for the files that hold what was committed. One that SQLite has made
// since then is remembered.
func (s *spot) checkFiles() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost != nil {
		return s.lost
	}
	if now := resolve(s.given); now != s.path {
		if _, err := see(now); err != nil {
			return gone(s.given)
		}
		s.lost = elsewhere(s.given, "now leads to "+now)
		return s.lost
	}
	for i, suffix := range suffixes {
		if err := s.checkFile(i, s.path+suffix); err != nil {
			return err
		}
	}
	return nil
}

func (s *spot) checkFile(i int, name string) error {
	seen, err := see(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if i == 0 {
			return gone(s.path)
		}
		if s.files[i] != (fileID{}) {
			s.lost = elsewhere(name, "was removed while it was in use")
		}
		return s.lost
	case err != nil:
		return fmt.Errorf("%w: look at %s: %w", keys.ErrUnavailable, name, err)
	}
	if err := seen.unshared(name); err != nil {
		return err
	}
	switch s.files[i] {
	case seen.id:
	case fileID{}:
		s.files[i] = seen.id
	default:
		s.lost = elsewhere(name, "was replaced while it was in use")
	}
	return s.lost
}

func gone(name string) error {
	return fmt.Errorf("%w: the key store %s was removed or renamed", keys.ErrUnavailable, name)
}

func elsewhere(name, what string) error {
	return fmt.Errorf("%w: %s %s, so this program uses other files than other programs; start it again", keys.ErrUnavailable, name, what)
}

// misplaced marks the error that other processes may use other files than this one.
func misplaced(err error) error { return &feed.MisplacedError{Cause: err} }

// replaced reports whether another database is at the path, which can be opened as at the
// start of the program.
func (s *spot) replaced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, err := see(s.path)
	return err == nil && seen.id != s.files[0] && resolve(s.given) == s.path
}

// refuseShared is for a file that may be missing.
func refuseShared(name string) error {
	seen, err := see(name)
	if err != nil {
		return nil //nolint:nilerr // the user of the file reports the error
	}
	return seen.unshared(name)
}

// unshared refuses a file that can be reached by two names: each name has its own -wal, -shm
// and -epoch beside it.
func (f sight) unshared(name string) error {
	switch {
	case !f.regular:
		return fmt.Errorf("%w: %s is not a regular file (%s); move it away", keys.ErrUnavailable, name, cmp.Or(filemode.Other(name), "it was one a moment ago"))
	case f.mounted:
		return fmt.Errorf("%w: %s is mounted as a single file, without the files beside it; mount its directory %s instead", keys.ErrUnavailable, name, filepath.Dir(name))
	case f.links > 1:
		return fmt.Errorf("%w: %s has %d names (hard links), and each name has other files beside it; remove the other names ('find %s -xdev -samefile %s' lists them)",
			keys.ErrUnavailable, name, f.links, shell.Quote(topOf(filepath.Dir(name))), shell.Quote(name))
	}
	return nil
}

// topOf is the highest directory above dir on the same disk: all names of a file are
// somewhere below it.
func topOf(dir string) string {
	id, err := identify(dir)
	for err == nil {
		above := filepath.Dir(dir)
		var next fileID
		if next, err = identify(above); err != nil || next.device != id.device || above == dir {
			break
		}
		dir = above
	}
	return dir
}

// resolve follows the links in an absolute path, also where its last part is missing.
func resolve(abs string) string {
	if target, err := filepath.EvalSymlinks(abs); err == nil {
		return target
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		return filepath.Join(dir, filepath.Base(abs))
	}
	return abs
}

// abandoned keeps connections that must never be closed: the driver closes unreferenced
// ones. They are few, and cost only their open files.
var abandoned struct {
	mu  sync.Mutex
	all []any
}

// abandon leaves a connection or a pool open until the process ends, which closes
// nothing either.
func abandon(what any) {
	abandoned.mu.Lock()
	defer abandoned.mu.Unlock()
	abandoned.all = append(abandoned.all, what)
}
