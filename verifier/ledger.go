package verifier

import (
	"errors"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier/internal/flush"
)

const (
	// flushEvery is how long counts stay in memory at the most, so it is also what a
	// crash can lose. Where an hour ends they are written at once: they belong to it.
	flushEvery = 5 * time.Second
	// flushWithin bounds one writing. What could not be written is kept.
	flushWithin = 10 * time.Second
)

// ledger is what was counted and is not written yet: uses of keys, and denials. Both are
// written by one flusher, and one that fails keeps the other from nothing.
type ledger struct {
	uses    uses
	denials denials
	flusher flush.Flusher
}

// open opens l in place: its parts point at each other. OnError, which may be nil,
// hears of what could not be written; most is how many keys may wait.
func (l *ledger) open(uses keys.UseLog, denials keys.DenialLog, clock func() time.Time, elapsed func() time.Duration, most int, onError func(error)) {
	l.uses.log, l.uses.clock, l.uses.max, l.uses.within = uses, clock, most, l.flusher.Within
	l.denials.log, l.denials.clock, l.denials.within = denials, clock, l.flusher.Within
	l.flusher.Rest, l.flusher.Retry, l.flusher.Elapsed = flushEvery, true, elapsed
	l.flusher.Write = func() error { return errors.Join(l.uses.write(), l.denials.write()) }
	l.flusher.Told = func(err error) {
		if err != nil && onError != nil {
			onError(err)
		}
	}
}

// close writes what waits and counts no more. What cannot be written then is lost.
func (l *ledger) close() error {
	l.uses.close()
	l.denials.close()
	return l.flusher.Close()
}
