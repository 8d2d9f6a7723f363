package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// The epoch page says which database it belongs to, and how far that had come: an id that
// the database holds too, and one word, the number of the generation (16 bits) over the
// number of the newest change (48 bits). A writer raises the word after its commit and
// before it moves the counter. So a database that is behind its page has lost changes
// that were acknowledged: its log was removed, an older file was copied over it, or SQLite
// reads it through an index that others do not share. Nothing is accepted from it and
// nothing is written to it. A page that is behind its database is harmless: a writer died
// in between.
//
// Only [Create], a restore and [Mend] give a database an id. While they do, the id in the
// page is zero, and every process answers that the key store is unavailable.
//
// A page that was copied is refused as well, until one of them gives the copy an id of its
// own. So of two databases with one id at most one is in use, and no copy that went its
// own way can be taken for the original.

// epochID is the id that a database and its epoch page share.
type epochID [16]byte

func newEpochID() epochID { return epochID(randomID()) }

const (
	seqBits = 48
	maxTerm = 1<<(64-seqBits) - 1
)

// standing is what a database, or its page, says of itself.
type standing struct {
	id   epochID
	word uint64
}

func (s standing) term() uint64 { return s.word >> seqBits }

// wordOf puts a position into one word.
func wordOf(term, seq int64) (uint64, error) {
	if term < 1 || term > maxTerm || seq < 0 || seq > maxSeq {
		return 0, fmt.Errorf("%w: the database is at change %d of generation %d, which mcpkeys did not write; restore a backup", keys.ErrUnavailable, seq, term)
	}
	return uint64(term)<<seqBits | uint64(seq), nil
}

// Why a database and its page do not belong together.
var (
	errReplacing = errors.New("is being replaced by a restore; if none is running, one was interrupted: run 'keyctl doctor --fix'")
	errOtherPage = errors.New("belongs to another key store: run 'keyctl doctor --fix'")
	errCopied    = errors.New("is a copy, and the key store that it was copied from may be in use as well: run 'keyctl doctor --fix' to make this a key store of its own, or 'keyctl restore' with a backup")
	errTornWord  = errors.New("contains a position that mcpkeys did not write, so changes may be missing: run 'keyctl doctor --fix' to use the database as it is, or 'keyctl restore' with a backup")
	errOtherTerm = errors.New("belongs to another generation of this key store, so the database was copied here: run 'keyctl restore' with the backup that you want, or 'keyctl doctor --fix' to use the database as it is")
)

// behindError: the database lacks changes that were acknowledged.
type behindError struct{ missing uint64 }

func (e *behindError) Error() string {
	return fmt.Sprintf("knows %s that the database lacks: its log was removed, or an older file was copied over it; run 'keyctl restore' with a backup, or 'keyctl doctor --fix' to use the database as it is", changes(e.missing))
}

// fellBackError: database and page agree, and this program has read more. Every other one
// takes the database for whole, so Mend has nothing to do.
type fellBackError struct{ missing uint64 }

func (e *fellBackError) Error() string {
	return fmt.Sprintf("lost %s that this program has read: it and the database were replaced by an older state; run 'keyctl restore' with a backup, or start this program again to use the database as it is", changes(e.missing))
}

func changes(n uint64) string {
	if n == 1 {
		return "1 change"
	}
	return fmt.Sprintf("%d changes", n)
}

// How far a page may be ahead of its database: a restore a day for 40 years, and a thousand
// changes a second for as long. A word that is further was torn, or written by another
// program.
const (
	maxTermsAhead = 1 << 14
	maxMissing    = 1 << 40
)

// torn reports whether the word is none that mcpkeys wrote beside the database.
func (s standing) torn(database standing) bool {
	switch term := database.term(); {
	case s.term() == 0, s.term() > term+maxTermsAhead:
		return true
	case s.term() == term:
		return s.word > database.word && s.word-database.word > maxMissing
	}
	return false
}

// judge holds a database against its page, which was read before it.
func judge(database, page standing) error {
	switch {
	case page.id == epochID{} || [8]byte(page.id[:8]) == [8]byte{}:
		return errReplacing
	case page.id != database.id:
		return errOtherPage
	case page.torn(database):
		return errTornWord
	case page.term() != database.term():
		return errOtherTerm
	case database.word < page.word:
		return &behindError{page.word - database.word}
	}
	return nil
}

// stand reads a database's numbers and holds its position against the page, which it reads
// first. When the page changed in between it reads both again: a restore came to its end.
func (r *Reader) stand(read func() (numbers, error)) (numbers, error) {
	for try := 1; ; try++ {
		page, why := r.epoch.standing()
		seen := r.seen.Load() // before the read, or a quicker reader of this process may have seen more
		n, err := read()
		if err != nil {
			return n, err
		}
		now, err := n.standing()
		if err != nil || !canShare {
			return n, err
		}
		if why == nil || errors.Is(why, errCopied) {
			why = cmp.Or(judge(now, page), why)
		}
		if why == nil && now.word < seen {
			why = &fellBackError{seen - now.word}
		}
		if why == nil {
			return n, nil
		}
		if again, err := r.epoch.standing(); try == 3 || err != nil || again == page {
			return n, misplaced(fmt.Errorf("%w: %s %w", keys.ErrUnavailable, r.epoch.path, why))
		}
	}
}

// seeStand is stand for what is committed: this process never goes back behind it.
func (r *Reader) seeStand(read func() (numbers, error)) (numbers, error) {
	n, err := r.stand(read)
	if err != nil {
		return n, err
	}
	now, err := n.standing()
	if err == nil {
		raise(&r.seen, now.word)
	}
	return n, err
}

// committed is where the database stands, as every process sees it. What else the database
// holds is not looked at: what was committed is announced in any case.
func (r *Reader) committed(ctx context.Context) (standing, error) {
	return r.committedBy(func() *sql.Row { return r.numbers.QueryRowContext(ctx) })
}

func (r *Reader) committedBy(query func() *sql.Row) (standing, error) {
	n, err := r.seeStand(func() (numbers, error) { return readNumbers(query()) })
	if err != nil {
		return standing{}, err
	}
	return n.standing()
}

// raise makes a at least n.
func raise(a *atomic.Uint64, n uint64) {
	for {
		was := a.Load()
		if was >= n || a.CompareAndSwap(was, n) {
			return
		}
	}
}

// whileReplacing is how long a change without the lock of writers waits for a restore to
// write the new id, which it does at once after its commit. With the lock there is nothing
// to wait for: a restore keeps it until the id is written, so this one was interrupted.
const (
	whileReplacing = 2 * time.Second
	lookAgain      = 5 * time.Millisecond
)

// mayChange refuses to write to a database that others do not have open, or that lacks
// what was acknowledged. It is asked first in the transaction, which reads its numbers.
func (s *Store) mayChange(read func() (numbers, error)) (numbers, error) {
	if err := s.inPlace(); err != nil {
		return numbers{}, err
	}
	if !s.epoch.current() {
		s.epoch.open(true)
	}
	for waited := time.Duration(0); ; waited += lookAgain {
		n, err := s.stand(read)
		if !errors.Is(err, errReplacing) || s.lock.held || waited >= whileReplacing {
			return n, err
		}
		time.Sleep(lookAgain)
	}
}

// inPlace refuses to write to files that others cannot find any more.
func (s *Store) inPlace() error { return s.written.check() }

// release closes pools whose files are what everybody else has open, and abandons them
// otherwise. A pool that writes is closed only if its database is known to be whole: the
// last connection to close moves the log into it.
func (r *Reader) release(writes bool, pools ...*sql.DB) error {
	err := r.spot.check()
	if err == nil && writes {
		_, err = r.committedBy(func() *sql.Row { return r.numbers.QueryRow() }) //nolint:noctx // to close takes no context
	}
	var errs []error
	for _, db := range pools {
		if err != nil {
			abandon(db)
		} else {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}
