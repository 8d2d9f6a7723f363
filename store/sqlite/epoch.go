package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/newfile"
	"github.com/mcpkeys/mcpkeys/keys"
)

// The epoch is a counter in a file beside the database, mapped into the memory of
// every process that has the key store open. A writer adds one after each commit
// and before its caller hears of it, so that any other process learns with one load
// from memory, about a nanosecond, that what it remembers may be out of date. The
// database stays the truth: the epoch only says when to look.
//
// The file holds one page, written whole when the key store is made. It is never
// truncated and never made anew in place, because the memory of other processes is
// that file. Where it is missing, or the system has no shared mappings, there is no
// counter to trust, and [Reader.Epoch] makes every check look.
type epoch struct {
	path    string
	mapped  atomic.Pointer[mapping] // nil: nothing to trust
	untold  atomic.Uint64           // stands in for the counter while there is none
	sharing func(path string, writable bool) (*mapping, error)
}

// Layout of the page.
const (
	epochSize  = 4096
	epochBorn  = 8  // offset of the time at which it was made, nanoseconds since 1970
	epochMagic = 16 // offset of the mark
	epochMark  = "mcpkeys epoch 1\n"
)

func epochPath(database string) string { return database + "-epoch" }

// noCounter marks numbers that stand for "look", so that none equals a counter.
const noCounter = 1 << 63

// load returns the counter, or a number that it never returned before.
func (e *epoch) load() uint64 {
	if m := e.mapped.Load(); m != nil {
		return m.load()
	}
	return noCounter | e.untold.Add(1)
}

// open maps the file if it is there and whole.
func (e *epoch) open(writable bool) error {
	m, err := e.sharing(e.path, writable)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
		e.mapped.Store(nil)
		return nil
	}
	if err != nil {
		e.mapped.Store(nil)
		return fmt.Errorf("share %s: %w; remove that file, and the next change makes it anew", e.path, err)
	}
	e.mapped.Store(m)
	return nil
}

// current reports whether the file of that name is still the one that is mapped.
func (e *epoch) current() bool {
	m := e.mapped.Load()
	file, err := identify(e.path)
	if m == nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return err == nil && file == m.file
}

// follow maps whatever file has the name now. The counter of another file says
// nothing about what happened before, so a caller forgets all it knows when follow
// reports that it moved.
func (e *epoch) follow(writable bool) (moved bool, err error) {
	if e.current() {
		return false, nil
	}
	return true, e.open(writable)
}

// bump tells every process that something was committed. It returns when they all
// know: at once, or, with a file that was made anew lately, when the last process
// that may still be mapping the old one has had to look (see [keys.Lease]).
func (e *epoch) bump() error {
	if _, err := e.follow(true); err != nil {
		return err
	}
	if e.mapped.Load() == nil {
		if err := makeEpoch(e.path, time.Now()); err != nil && !errors.Is(err, fs.ErrExist) { //nolint:forbidigo // compared with other processes' clocks, so the machine's
			return err
		}
		if err := e.open(true); err != nil {
			return err
		}
	}
	m := e.mapped.Load()
	if m == nil { // no shared mappings here: every check looks anyway
		return nil
	}
	m.add()
	settle(m.born())
	return nil
}

// settle waits until a file made at born is as old as a lease.
func settle(born time.Time) {
	if rest := keys.Lease - time.Since(born); rest > 0 {
		time.Sleep(min(rest, keys.Lease))
	}
}

// makeEpoch makes the file whole or not at all. A file that is there stays.
func makeEpoch(path string, born time.Time) error {
	page := make([]byte, epochSize)
	binary.NativeEndian.PutUint64(page[epochBorn:], uint64(born.UnixNano())) //nolint:gosec // the bits
	copy(page[epochMagic:], epochMark)
	f, err := newfile.Temp(filepath.Dir(path), "mcpkeys-epoch-*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(page)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return newfile.Publish(f.Name(), path)
}
