package keys

import (
	"context"
	"time"
)

// Position is how far a reader has followed a [Feed].
type Position struct {
	Generation string // differs between a store and what was restored over it
	Seq        int64  // of the newest change
	Event      string // random id of that change; empty where no change has the number
}

// Changes is one answer of a [Feed].
type Changes struct {
	IDs  []string
	Next Position
	Lost bool

	// Imported is true while there is a secret with a lookup. As long as there is none,
	// a token of another shape than ours is nobody's.
	Imported bool
}

// Feed tells what changed, in the order of commits, whoever changed it: another
// process and a database shell are seen too.
type Feed interface {
	// Epoch returns a number that is another one after each change that was
	// acknowledged, by any process, before the call. It costs about a nanosecond. A
	// store that cannot tell so cheaply returns another number each time.
	//
	// The numbers that one handle returns never fall, and one that was left behind
	// never comes again. A number says when to ask Changes, not what changed, and a
	// retried change that had nothing to do may move it too.
	Epoch() uint64

	// Changes returns the ids of keys changed after the position since, oldest
	// first, at most once each, and the position to ask from next time. The zero
	// Position yields no ids and is where a reader starts. Lost is true when the
	// store cannot tell everything since then, because it was restored or replaced, or
	// was put back to an older state and changed again, so that the change at since is
	// another one or is gone; the reader then forgets all it knows.
	//
	// Changes looks at the truth: it fails with ErrUnavailable when the store cannot be
	// read, with a [*MisplacedError] when what is open is not what others use, and with an
	// [*AlteredError] when the store is not as mcpkeys left it. A reader that hears one of
	// the last two does not use what it remembers.
	Changes(ctx context.Context, since Position) (Changes, error)

	// Bounds are the same for as long as the store is open. With zero bounds each check
	// looks.
	Bounds() Bounds
}

// Bounds are how a store bounds what its readers may be wrong about.
type Bounds struct {
	// Lease is how long a reader may trust what it remembers without having looked: an
	// entry is good while the last successful look at the store began less than a Lease
	// ago. A store whose way of telling others failed, and was put right, holds back its
	// writers' answers for as long.
	Lease time.Duration

	// Look is how often a reader looks although the epoch stands still. A change that was
	// made past the store, as by a database shell, is noticed within this time.
	Look time.Duration
}
