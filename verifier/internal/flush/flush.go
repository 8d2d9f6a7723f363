// Package flush writes in the background what may be written later: usage counts, denials,
// renewed digests. Set the fields of a [Flusher], call Within when there is something to
// write, and Close at the end. Its caller decides what is written, and keeps what could not
// be written.
//
// A goroutine runs only while something is written, and only one write runs at a time. After
// a failure it does not write for [Flusher.Rest]. A panic counts as a failure.
package flush

import (
	"fmt"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Flusher runs one function when it is due. Its exported fields are set before it is used.
type Flusher struct {
	Write   func() error         // writes everything that waits; with nothing to write it does nothing
	Rest    time.Duration        // for how long nothing is tried after a failure
	Retry   bool                 // then it is tried again, without being asked for
	Elapsed func() time.Duration // monotonic
	After   func(error)          // is called with the result of each write; may be nil

	writing sync.Mutex // held while Write runs

	mu      sync.Mutex // guards what follows
	timer   *time.Timer
	due     time.Duration // of timer
	rested  time.Duration // before this nothing is tried
	closed  bool
	running sync.WaitGroup
}

// Within has Write run when after is over, or earlier.
func (f *Flusher) Within(after time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.schedule(after)
}

func (f *Flusher) schedule(after time.Duration) {
	now := f.Elapsed()
	due := max(now+after, f.rested)
	if f.closed || f.timer != nil && f.due <= due {
		return
	}
	if f.timer != nil {
		f.timer.Stop() // if the timer has fired already, Write runs one more time, which does no harm
	}
	f.due = due
	f.timer = time.AfterFunc(due-now, f.run)
}

// Resting reports whether the last writing failed, and its rest is not over.
func (f *Flusher) Resting() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Elapsed() < f.rested
}

func (f *Flusher) run() {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return
	}
	f.running.Add(1)
	f.mu.Unlock()
	defer f.running.Done()
	f.writing.Lock()
	defer f.writing.Unlock()
	if f.begin() {
		_ = f.flush()
	}
}

// begin reports whether to write now. The timer stays set until then, so that at most one
// goroutine waits for a running write; if that one fails, its rest applies.
func (f *Flusher) begin() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timer = nil
	if f.closed || f.rested == 0 || f.Elapsed() >= f.rested {
		return !f.closed
	}
	if f.Retry {
		f.schedule(0)
	}
	return false
}

// Flush writes now, and returns the error.
func (f *Flusher) Flush() error {
	f.writing.Lock()
	defer f.writing.Unlock()
	return f.flush()
}

func (f *Flusher) flush() error {
	err := Safely(f.Write)
	f.rest(err)
	if f.After != nil {
		f.After(err)
	}
	return err
}

// Safely runs write, and takes a panic for an error.
func Safely(write func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: writing failed: %v", keys.ErrUnavailable, p)
		}
	}()
	return write()
}

// rest notes the result of a write, and plans the next try.
func (f *Flusher) rest(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rested = 0
	if err != nil {
		f.rested = f.Elapsed() + f.Rest
		if f.Retry {
			f.schedule(f.Rest)
		}
	}
}

// Close writes a last time, also during a rest. It waits for a running write.
func (f *Flusher) Close() error {
	f.mu.Lock()
	f.closed = true
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	f.mu.Unlock()
	f.running.Wait()
	return f.Flush()
}
