package model

// Times, in ticks. A check looks again after a poll; a lease is two of them.
const (
	poll  = 1
	lease = 2
)

// none is the index of nothing.
const none = -1

// scenario is where an exploration starts and what may happen in it.
type scenario struct {
	name    string
	checks  int  // at most maxChecks
	crash   bool // the revoker may be killed once, and then another revokes again
	remove  bool // the epoch file may be removed once
	outage  bool // the store may become unreadable for the server, for ever
	evict   bool // the cell may be evicted once
	ticks   int8
	started world
}

const maxChecks = 3

// world is everything there is. It is comparable, so that states are told apart by
// ==, and holds numbers only, so that a copy is a copy.
type world struct {
	now int8

	revoked    bool // the row says so, and the feed holds a change
	unreadable bool

	// Epoch files: which one has the name, and what stands in them.
	path  int8
	files [2]file

	revoker  writer
	crashed  bool
	removed  bool
	returned bool // the revoke did

	// The server's process.
	mapped    int8 // which epoch file
	turn      int8
	last      told
	current   int8 // the check that is looking
	known     bool // the feed's change was read
	forgotten int8
	cached    int8 // the cell in the cache
	cells     [2]entry
	evicted   bool
	flying    int8 // the check that is reading the row
	checks    [maxChecks]check
}

type file struct {
	count   int8
	settled bool
}

// told is what a good look left for others.
type told struct{ began, noted int8 }

// entry is what a cell, or a read, knows of the key.
type entry int8

const (
	unknown entry = iota
	good
	revoked
)

// hot is a server that has checked the key a moment ago. The epoch stands at two, so
// that a new file can count up to where the old one was.
var hot = func() world {
	w := world{path: 0, current: none, flying: none}
	w.files[0] = file{count: 2, settled: true}
	w.last = told{began: 0, noted: 2}
	w.cells[0] = good
	return w
}()

var scenarios = []scenario{
	{name: "new epoch file, long ago", checks: 2, started: replaced()},
	{name: "three checks", checks: 3, evict: true, started: cold()},
	{name: "crash and retry", checks: 2, crash: true, evict: true, ticks: 1, started: hot},
	{name: "new epoch file", checks: 2, remove: true, ticks: 2, started: idle()},
	{name: "unreadable store", checks: 2, remove: true, outage: true, ticks: 2, started: hot},
}

// cold is a server that has looked but knows no key yet.
func cold() world {
	w := hot
	w.cells[0] = unknown
	return w
}

// idle is a server whose next check looks.
func idle() world {
	w := hot
	w.last.began = -poll
	return w
}

// replaced is a server without a check since another process made a new epoch
// file, waited, and went. One more change, and the new count is what the old one was.
func replaced() world {
	w := hot
	w.now, w.path = lease, 1
	w.files[1] = file{count: 1, settled: true}
	return w
}

// epoch is what Feed.Epoch returns in the server.
func (w *world) epoch(r rules) int8 {
	n := w.files[w.mapped].count
	if r.turns {
		n += w.turn * 10
	}
	return n
}

// row is what reading the key returns.
func (w *world) row() entry {
	if w.revoked {
		return revoked
	}
	return good
}
