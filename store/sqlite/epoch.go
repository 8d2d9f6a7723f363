package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/newfile"
	"github.com/mcpkeys/mcpkeys/internal/shell"
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
	sharing func(path string, writable bool) (*page, error)
	now     atomic.Pointer[counter]

	mu    sync.Mutex // guards what follows, and who stores now
	turns uint64
}

func epochPath(database string) string { return database + "-epoch" }

// counter is where numbers come from between two times of opening. Each has a turn
// of its own in the high bits, so that the numbers of one process never fall and
// never come twice, whatever stands in the file that is mapped next: a counter that
// went on from 7 in another file would look as if nothing had moved since the 7 of
// this one.
type counter struct {
	turn   uint64
	page   *page // nil: nothing to trust
	since  time.Time
	untold atomic.Uint64 // stands in for the page while there is none
}

// turnShift leaves a file a million million changes, and a process 16 million turns.
const turnShift = 40

// load returns the counter, or a number that it never returned before.
func (e *epoch) load() uint64 {
	c := e.now.Load()
	if c.page != nil {
		if n, ok := c.page.load(); ok {
			return c.turn<<turnShift | n&(1<<turnShift-1)
		}
		c = e.lose(c)
	}
	return c.turn<<turnShift | c.untold.Add(1)&(1<<turnShift-1)
}

// lose gives up a page that cannot be touched any more, because somebody cut the
// file short. From then on every check looks, and the look finds out why.
func (e *epoch) lose(c *counter) *counter {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.now.Load() == c {
		e.use(nil)
	}
	return e.now.Load()
}

// use makes p, or nothing, the source of numbers from now on.
func (e *epoch) use(p *page) *counter {
	e.turns++
	c := &counter{turn: e.turns, page: p, since: time.Now()} //nolint:forbidigo // only its monotonic reading is used
	e.now.Store(c)
	return c
}

// open maps the file if it is there and whole.
func (e *epoch) open(writable bool) (*counter, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, err := e.sharing(e.path, writable)
	if err == nil {
		return e.use(p), nil
	}
	c := e.use(nil)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
		return c, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("share %s: %w: this user must be able to write it; run as the user who owns it, or run 'chmod u+w %s'", e.path, fs.ErrPermission, shell.Quote(e.path))
	}
	return nil, fmt.Errorf("share %s: %w; remove that file, and the next change makes it anew", e.path, err)
}

// close lets go of the file. Who still asks is told to look, and finds the store
// closed.
func (e *epoch) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.use(nil)
}

// current reports whether what has the name is what is mapped, and whole.
func (e *epoch) current() bool {
	info, err := os.Stat(e.path)
	p := e.now.Load().page
	if p == nil {
		return errors.Is(err, fs.ErrNotExist) || !canShare
	}
	if err != nil || info.Size() < epochSize {
		return false
	}
	file, err := identityOf(info)
	return err == nil && file == p.file && p.marked()
}

// bump tells every process that something was committed. It returns when they all
// know: at once, or, with a file that was made anew lately, when the last process
// that may still be mapping the old one has had to look.
func (e *epoch) bump() error {
	for range 3 { // should somebody remove the file while it is being made
		c, err := e.now.Load(), error(nil)
		if !e.current() {
			c, err = e.open(true)
		}
		if err != nil {
			return err
		}
		if c.page != nil {
			return c.bump()
		}
		if !canShare { // every check looks anyway
			return nil
		}
		if err := makeEpoch(e.path, false); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return fmt.Errorf("%s vanishes as often as it is made", e.path)
}

func (c *counter) bump() error {
	if !c.page.add() {
		return errCutShort
	}
	c.settle()
	return nil
}

// settle waits until whoever still maps the file that stood here before must have
// looked, and so found this one: nobody trusts what he remembers for longer than a
// [keys.Lease] without looking. The page says whether that time is over. If it does
// not, the file may be as young as our mapping of it, and no younger. Only monotonic
// clocks take part, so a stepped wall clock makes it neither short nor long.
func (c *counter) settle() {
	if c.page.settled() {
		return
	}
	time.Sleep(keys.Lease - time.Since(c.since))
	c.page.settle()
}

// makeEpoch makes the file whole or not at all. A file that is there stays. Settled
// says that no process can be mapping another one.
func makeEpoch(path string, settled bool) error {
	f, err := newfile.Temp(filepath.Dir(path), "mcpkeys-epoch-*.tmp")
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.Write(newPage(info, settled))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return newfile.Publish(f.Name(), path)
}
