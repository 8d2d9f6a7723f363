// Package feed tells readers of a store which keys changed, so that they drop what they
// remember of them. A store implements [Feed]. A reader begins at the zero [Position]. Before
// each use of what it remembers it compares [Feed.Epoch]; if that moved, or [Bounds].Look has
// passed, it calls [Feed.Changes] and drops the keys that this names, or all if Lost is true.
// After an [*AlteredError] or a [*MisplacedError] it uses nothing that it remembers.
package feed

import (
	"context"
	"time"
)

const (
	// Lease is how long a reader may trust what it remembers of a store whose changes it may
	// miss: in other processes of the store's machine, and on other hosts. It runs from the moment
	// before the reader looked or asked.
	Lease = 2 * time.Second

	// LongestLease is how long writers and servers count a lease: 5 % longer, for clocks that run at
	// different speeds.
	LongestLease = Lease + Lease/20
)

// Position is how far a reader has followed a [Feed].
type Position struct {
	Generation string // a restored store has another one
	Seq        int64  // of the newest change
	Event      string // random id of that change; empty if no change has the number

	// Word is the position as one number that all processes and hosts share: the number of the
	// generation in the highest 16 bits, and Seq. It only grows. Zero means that the feed has
	// none.
	Word uint64
}

// Changes is one answer of a [Feed].
type Changes struct {
	IDs  []string
	Next Position
	Lost bool

	// More says that the reader must call Changes again, from Next, once it has dropped IDs. Until
	// an answer without More it has read nothing, and may trust what it remembers for no longer.
	// Only a feed on another host says so: it heard of the changes without asking.
	More bool

	// Imported is true while the store has a secret with a lookup. If false, a token that
	// is not in the mcpkeys form cannot be valid.
	Imported bool
}

// Feed tells which keys changed, in the order of commits, including changes of other
// processes and of database shells.
type Feed interface {
	// Epoch returns a number that differs after each change that any process
	// acknowledged before the call. It costs about a nanosecond. A store that cannot do
	// that returns a new number each time.
	//
	// The numbers of one handle never decrease. A new number says when to call Changes,
	// not what changed; a repeated change without an effect may also cause one.
	Epoch() uint64

	// Wait returns when the epoch differs from the given one, or when ctx ends. It may return
	// early, and is then called again. A store that cannot be told of changes compares now and
	// then: see [Poll].
	Wait(ctx context.Context, epoch uint64)

	// Changes returns the ids of keys changed after the position since, oldest
	// first, at most once each, and the position for the next call. A reader starts with
	// the zero Position, which yields no ids. Lost is true if the store cannot list all
	// changes since then: it was restored or replaced, or put back to an older state and
	// changed again, so the change at since is missing or another one. The reader then
	// drops all it remembers.
	//
	// Changes reads the database: it fails with [keys.ErrUnavailable] if the store cannot be
	// read, with a [*MisplacedError] if other processes use other files, and with an
	// [*AlteredError] if the store was changed outside mcpkeys. After one of the last two
	// a reader does not use what it remembers.
	Changes(ctx context.Context, since Position) (Changes, error)

	// Bounds do not change while the store is open. With zero bounds every check reads.
	Bounds() Bounds
}

// Bounds limit how outdated a store's readers may be.
type Bounds struct {
	// Lease is how long a reader may trust what it remembers without reading: an entry is
	// valid while the last successful read began less than a Lease ago. A store that could
	// not announce changes, and was repaired, delays its writers' answers by this time.
	Lease time.Duration

	// Look is how often a reader reads although the epoch did not change. A change made
	// outside the store, as by a database shell, is noticed within this time.
	Look time.Duration

	// Remote says that the feed is on another host. Its writers wait until readers have
	// dropped what changed, so a reader follows it all the time, not only while it is asked.
	// A Lease then also ends by the wall clock, because the monotonic one stops while a
	// computer sleeps, and without a lease a reader asks for each request.
	Remote bool
}
