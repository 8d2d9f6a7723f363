package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// fairLock makes writers take turns, in one process and between processes. SQLite lets one
// write at a time, and the others sleep and try again: with many writers some fail after
// seconds of trying. So each change first takes this lock, for which the kernel keeps a
// queue.
//
// The lock is an flock on an empty file beside the database. The kernel frees it when its
// holder ends. It is for fairness, not for safety: if the file is missing, was replaced, or
// cannot be opened, writers compete as in plain SQLite.
type fairLock struct {
	path     string
	beside   string // the database, whose group and mode the file gets
	patience time.Duration
	turn     chan struct{} // full while a goroutine of this process has the lock or waits for it

	// What follows belongs to the goroutine that has the turn.
	file    *lockFile // open, and not locked here; nil until it is needed
	waiting *lockWait // what an earlier caller gave up waiting for
	held    bool      // the lock is taken, and not only the turn
}

// lockWait is one call to the kernel that waits for the lock. It cannot be called off,
// and keeps its place in the queue: the next caller takes it over.
type lockWait struct {
	file *lockFile
	done chan struct{} // closed when err is known
	err  error
}

// patience is how long a change waits for its turn. Holders keep the lock for a tenth of
// a second at the most, but for the last step of a restore.
const patience = 5 * time.Second

// lockPath is the file whose lock the writers of a database take in turn.
func lockPath(database string) string { return database + "-lock" }

// newFairLock returns the lock of a file of the key store at database, of which there are
// two: the database itself and its usage file.
func newFairLock(file, database string) *fairLock {
	return &fairLock{path: lockPath(file), beside: database, patience: patience, turn: make(chan struct{}, 1)}
}

// take waits for the lock, and returns how to free it. Callers get it in the order in
// which they come. The error is a [BusyError], or that of ctx, which matters only to a
// caller that has to wait.
func (l *fairLock) take(ctx context.Context) (free func(), err error) {
	patience, stop := context.WithTimeoutCause(ctx, l.patience, errImpatient)
	defer stop()
	if err := l.takeTurn(patience); err != nil {
		return nil, l.gaveUp(err)
	}
	f, err := l.lock(patience)
	if err != nil {
		<-l.turn
		return nil, l.gaveUp(err)
	}
	l.held = f != nil
	return func() {
		if l.held = false; f != nil {
			f.unlock()
		}
		<-l.turn
	}, nil
}

var errImpatient = errors.New("gave up waiting for the lock")

func (l *fairLock) gaveUp(err error) error {
	if errors.Is(err, errImpatient) {
		return &BusyError{Waited: l.patience, Holder: l.holder()}
	}
	return fmt.Errorf("nothing was changed: gave up waiting for another writer: %w", err)
}

// takeTurn waits for its turn in this process.
func (l *fairLock) takeTurn(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lock is called with the turn. It returns nil without an error where there is no
// file to lock.
func (l *fairLock) lock(ctx context.Context) (*lockFile, error) {
	for range 3 { // in case the file is replaced again and again
		w := l.waiting
		if w == nil {
			if !l.ready() {
				return nil, nil //nolint:nilnil // no lock, and no reason to stop
			}
			if l.file.tryLock() {
				return l.file, nil
			}
			w = l.wait()
		}
		select {
		case <-w.done:
			l.waiting = nil
		case <-ctx.Done():
			l.leave(w)
			return nil, context.Cause(ctx)
		}
		if w.err != nil {
			w.file.close()
			return nil, nil //nolint:nilnil,nilerr // see above
		}
		if l.file = w.file; l.file.isAt(l.path) {
			return l.file, nil
		}
	}
	return nil, nil //nolint:nilnil // see above
}

// ready makes sure that l.file is what has the name, and makes it if it is missing.
func (l *fairLock) ready() bool {
	if l.file != nil && l.file.isAt(l.path) {
		return true
	}
	if l.file != nil {
		l.file.close()
	}
	if l.file = openLock(l.path); l.file == nil {
		return false
	}
	l.file.like(l.beside)
	return true
}

// wait asks the kernel for the lock of l.file, which belongs to the wait from now on.
func (l *fairLock) wait() *lockWait {
	w := &lockWait{file: l.file, done: make(chan struct{})}
	l.file = nil
	go func() {
		w.err = w.file.lock()
		close(w.done)
	}()
	return w
}

// leave lets w wait on for the next caller. If none waits when the lock is granted, it is
// freed at once.
func (l *fairLock) leave(w *lockWait) {
	if l.waiting == w {
		return // it was left before
	}
	l.waiting = w
	go func() {
		<-w.done
		l.turn <- struct{}{}
		if l.waiting == w {
			l.waiting = nil
			w.file.close()
		}
		<-l.turn
	}()
}

// close closes the file. The lock must be free.
func (l *fairLock) close() {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	if l.file != nil {
		l.file.close()
		l.file = nil
	}
}

// takeTurn takes the lock of a database once, for what has no [Store] open.
func takeTurn(ctx context.Context, database string) (free func(), err error) {
	l := newFairLock(database, database)
	unlock, err := l.take(ctx)
	if err != nil {
		return nil, err
	}
	return func() {
		unlock()
		l.close()
	}, nil
}

// inTurn is inTx for the database of l, when it is this one's turn.
func (l *fairLock) inTurn(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	free, err := l.take(ctx)
	if err != nil {
		return err
	}
	defer free()
	return l.orHolder(inTx(ctx, db, do))
}

// orHolder names who has SQLite's lock, if that is why a transaction failed. It is called
// with the turn. Only if this one had the lock of writers as well it is known that the other
// one did without.
func (l *fairLock) orHolder(err error) error {
	if basic, _ := codes(err); basic == codeBusy {
		return &BusyError{Waited: busyTimeout, Holder: writerOf(l.database()), OutOfTurn: l.held && l.file.isAt(l.path)}
	}
	return err
}

// BusyError says that a change waited too long for other writers. Nothing was changed.
type BusyError struct {
	Waited    time.Duration // by this change: others may have had the lock in turn
	Holder    Holder        // of the lock at the end of that, as far as the system tells
	OutOfTurn bool          // the holder did not take the lock of writers: it is a database shell, a copier, or began before the lock's file was replaced
}

func (e *BusyError) Error() string {
	if e.OutOfTurn {
		return fmt.Sprintf("nothing was changed after waiting %v: %s has locked the database outside mcpkeys, as a database shell does; end its transaction, and try again", e.Waited, e.Holder)
	}
	return fmt.Sprintf("nothing was changed after waiting %v: %s is writing to the key store; try again when it has finished", e.Waited, e.Holder)
}

// Is makes it a [keys.ErrUnavailable].
func (e *BusyError) Is(target error) bool { return target == keys.ErrUnavailable }
