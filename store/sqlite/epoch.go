package sqlite

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/newfile"
	"github.com/mcpkeys/mcpkeys/internal/base/shell"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// The epoch is a counter in a file beside the database, mapped into the memory of
// every process that has the key store open. A writer moves it up after each commit
// and before its caller hears of it, so that any other process learns with one load
// from memory, about a nanosecond, that what it remembers may be out of date. The
// database stays the truth: the epoch says when to look, and how far the database had
// come (position.go).
//
// The file holds one page, written whole when the key store is made. It is never
// truncated and never replaced, because the memory of other processes is that file.
// Where it is missing, or of another key store, nothing is accepted and nothing is
// changed until 'keyctl doctor --fix'. Where the system has no shared mappings there is
// no counter, and [Reader.Epoch] makes every check look.
type epoch struct {
	path    string
	sharing func(path string, writable bool) (*page, error)
	now     atomic.Pointer[counter]

	mu    sync.Mutex // guards what follows, and who stores now
	turns uint64
	why   error // there is no page

	sleepers sleepers
}

const epochSuffix = "-epoch"

func epochPath(database string) string { return database + epochSuffix }

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

// A number of a file is the number of a change in its high bits, and in its low ones a
// random part: see counterAt. That leaves a file a million million changes, and a process
// 4096 turns.
const (
	turnShift  = 52
	randomBits = 12
)

// counterAt is the least that the counter becomes when the change that word ends with is
// announced; where the counter is there already, it counts on by one.
//
// A counter that only ever counted on by one would come to a number for the second time
// when an older state of the file is copied over it: the change that moves it from there
// may move it to just the number at which a guard made its last look, and the guard would
// learn nothing. The number of a change grows for as long as the database is not put back,
// and a restore and [Mend] count one on as well. So after each change the counter is above
// all that it was before that change, whatever was copied over the file. An announcement
// without a change may come to an old number, and tells of nothing that was not announced
// before. Where the database is put back together with its file, changes get numbers that
// others had. That is what the random part is for; and a guard that meets the same number
// by chance looks after 250 ms, and finds by the ids of events that it is on another way.
func counterAt(word uint64) uint64 {
	var random [2]byte
	_, _ = rand.Read(random[:]) // never fails
	part := uint64(binary.NativeEndian.Uint16(random[:])) % (1 << randomBits)
	return word&maxSeq<<randomBits | part
}

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

// lose gives up a page that cannot be read any more, because the file was cut short. From
// then on every check looks, and the look finds out why.
func (e *epoch) lose(c *counter) *counter {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.now.Load() == c {
		e.use(nil)
		e.why = fixable(errCutShort)
	}
	return e.now.Load()
}

// use makes p, or nothing, the source of numbers from now on. That is another number, so the
// goroutine that may sleep on the page that was used so far must wake.
func (e *epoch) use(p *page) *counter {
	last := e.now.Load()
	e.turns++
	c := &counter{turn: e.turns, page: p, since: time.Now()} //nolint:forbidigo // only its monotonic reading is used
	e.now.Store(c)
	if last != nil && last.page != p {
		e.sleepers.wakeFrom(last.page)
	}
	return c
}

// open maps the file if it is there and whole. Why there is no page is told to who needs
// one: a key store without it can still be listed and mended.
func (e *epoch) open(writable bool) *counter {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, err := e.sharing(e.path, writable)
	switch {
	case err == nil:
		e.why = nil
		return e.use(p)
	case errors.Is(err, fs.ErrNotExist):
		e.why = errors.New("is missing: run 'keyctl doctor --fix'")
	case errors.Is(err, fs.ErrPermission):
		e.why = fmt.Errorf("cannot be used by this user (%w): run as the user that owns it, or run 'chmod u+rw %s'", fs.ErrPermission, shell.Quote(e.path))
	default:
		e.why = fixable(err)
	}
	if c := e.now.Load(); c != nil && c.page == nil {
		return c // another turn each time would use them up
	}
	return e.use(nil)
}

// standing is what the page says, or why there is none. With errCopied it is what the page
// said before it was copied.
func (e *epoch) standing() (standing, error) {
	if c := e.now.Load(); c.page != nil {
		s, ok := c.page.standing()
		switch {
		case !ok:
			return standing{}, fixable(errCutShort)
		case c.page.copied():
			return s, errCopied
		}
		return s, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return standing{}, cmp.Or(e.why, errClosed)
}

func fixable(err error) error {
	return fmt.Errorf("cannot be used (%w): run 'keyctl doctor --fix'", err)
}

// distrust makes every check look from now on, because other processes have other files
// open: their commits do not move the mapped counter.
func (e *epoch) distrust(why error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.now.Load().page != nil {
		e.use(nil)
		e.why = why
	}
}

// close releases the file. Later callers are told to look, and find the store closed.
func (e *epoch) close() {
	e.sleepers.close(func() { e.now.Load().page.wake() })
	e.mu.Lock()
	defer e.mu.Unlock()
	e.use(nil)
}

// current reports whether what has the name is what is mapped, and whole.
func (e *epoch) current() bool {
	p := e.now.Load().page
	if p == nil {
		return !canShare
	}
	info, err := os.Lstat(e.path)
	if err != nil || info.Size() < epochSize {
		return false
	}
	file, err := identityOf(info)
	return err == nil && file == p.file && p.marked()
}

// tell announces the position of the database to every process. All know it when settle
// of the counter returns: at once or, if the file replaced another one, when every process
// that may still map the old one must have looked.
func (e *epoch) tell(now standing) (*counter, error) {
	c := e.now.Load()
	if !e.current() {
		c = e.open(true)
	}
	if !canShare { // every check looks anyway
		return nil, nil
	}
	page, err := e.standing()
	if err == nil && page.id != now.id {
		err = errOtherPage
	}
	if err == nil && (!c.page.raise(now.word) || !c.bump(now.word)) {
		err = errCutShort
	}
	if err != nil {
		return nil, fmt.Errorf("%s %w", e.path, err)
	}
	return c, nil
}

func (c *counter) bump(word uint64) bool { return c.page.move(counterAt(word)) }

// lookEvery is how often readers look although the counter stands still: a database shell moves no
// counter, and a process may die between its commit and its word.
const lookEvery = 250 * time.Millisecond

// Bounds implements [feed.Feed].
func (r *Reader) Bounds() feed.Bounds { return feed.Bounds{Lease: feed.Lease, Look: lookEvery} }

// settle waits until every process that still maps the previous file must have looked, and
// so found this one: none uses what it remembers for longer than a lease without looking.
// The page says whether that time is over. If not, the wait begins when this process mapped
// the file. It uses the monotonic clock, so stepping the wall clock does not change it.
func (c *counter) settle() {
	if c.page.settled() {
		return
	}
	time.Sleep(feed.LongestLease - time.Since(c.since))
	c.page.setSettled()
}

// makeEpoch makes the file whole or not at all. A file that is there stays. Settled
// says that no process can be mapping another one.
func makeEpoch(path string, s standing, settled bool) error {
	f, err := newfile.Temp(filepath.Dir(path), "mcpkeys-epoch-*.tmp")
	if err != nil {
		return err
	}
	makeLike(f, strings.TrimSuffix(path, epochSuffix))
	info, err := f.Stat()
	if err == nil {
		_, err = f.Write(newPage(info, bornAt(f), s, settled))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return newfile.Publish(f.Name(), path)
}

// takeOver gives a database that has no readers yet its epoch file, or its id and
// position to the file that is there: processes that used a database which was removed
// may still map that. It is called under the lock of the directory.
func takeOver(path string, s standing, settled bool) error {
	p, err := share(path, true)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return makeEpoch(path, s, settled)
	case err != nil:
		return fmt.Errorf("%s is not an epoch file (%w); move it away", path, err)
	}
	return p.become(s)
}

// become writes another id and position into the page. What stands above the position was
// torn: see renewID.
func (p *page) become(s standing) error {
	if !p.setWord(s.word) || !p.own() || !p.setID(s.id) || !p.move(counterAt(s.word)) {
		return errCutShort
	}
	return p.flush()
}

// leftTerm is the generation of the page at path, 0 if there is none.
func leftTerm(path string) uint64 {
	p, err := share(path, false)
	if err != nil {
		return 0
	}
	s, _ := p.standing()
	return s.term()
}
