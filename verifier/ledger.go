package verifier

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/verifier/internal/flush"
)

const (
	// flushEvery is how long counts stay in memory at the most, so it is also what a
	// crash can lose. At the end of an hour they are written at once, because they belong to
	// that hour.
	flushEvery = 5 * time.Second
	// flushWithin bounds one writing. What could not be written is kept.
	flushWithin = 10 * time.Second
)

// ledger is the uses of keys and the denials that are not written yet. One flusher writes
// both, and a failure of one does not stop the other.
type ledger struct {
	uses    uses
	denials denials
	flusher flush.Flusher
}

// writer is what the ledger needs of a [Source].
type writer interface {
	AddUse(ctx context.Context, uses []usage.Use) error
	AddDenials(ctx context.Context, denials []usage.Denial) error
}

// open opens l in place: its parts point at each other. OnError, which may be nil,
// hears of what could not be written; most is how many keys may wait.
func (l *ledger) open(source writer, c *clock, most int, onError func(error)) {
	l.uses.source, l.uses.clock, l.uses.max, l.uses.within = source, c.time, most, l.flusher.Within
	l.denials.source, l.denials.clock, l.denials.within = source, c, l.flusher.Within
	l.flusher.Rest, l.flusher.Retry, l.flusher.Elapsed = flushEvery, true, c.elapsed
	l.flusher.Write = func() error { return errors.Join(flush.Safely(l.uses.write), flush.Safely(l.denials.write)) }
	l.flusher.After = func(err error) {
		if err != nil && onError != nil {
			onError(err)
		}
	}
}

// close writes what waits, and stops counting. Counts that cannot be written are lost.
func (l *ledger) close() error {
	l.uses.close()
	l.denials.close()
	return l.flusher.Close()
}

// note counts a decision on a key that was proved.
func (l *ledger) note(d *keys.Decision, c *check, call *Call) {
	if d.Code != keys.CodeUnavailable {
		l.used(c.cell, d.Code)
	}
	if d.Code != keys.CodeValid {
		l.denied(*d, call)
	}
}

// used counts one outcome of a key.
func (l *ledger) used(c *cell, code keys.Code) {
	c.tally.count(code)
	l.uses.note(&c.tally)
}

// useErrorsEach is how often it is logged that counts cannot be written.
const useErrorsEach = time.Minute

// logUseErrors logs that counts could not be written, if there is no OnUseError.
func logUseErrors(clock func() time.Time) func(error) {
	var mu sync.Mutex
	var last time.Time
	return func(err error) {
		mu.Lock()
		defer mu.Unlock()
		now := clock()
		if !last.IsZero() && now.Sub(last) < useErrorsEach {
			return
		}
		last = now
		slog.Error("usage counts could not be written, so keys in use may look unused", slog.Any("error", err))
	}
}
