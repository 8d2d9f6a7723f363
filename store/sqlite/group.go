package sqlite

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Changes that are asked for while another is being committed are committed
// together afterwards. Most of what a change costs is to wait for the disk, and a
// group waits once. Nobody waits for company: who finds no one at work begins at
// once, alone.
//
// The transaction goes from hand to hand. Each caller runs its own change, on its own
// goroutine, between a savepoint and its release, so that a failure takes back
// nothing but itself, and a panic unwinds who caused it and nobody else. The last
// one commits and tells the others; until then nobody hears anything, also no
// refusal, because it may be for the sake of a neighbour that is not committed yet.
//
// Where the transaction itself breaks, because the disk is full or the commit fails,
// nobody can tell whose fault it was: all of the group start afresh, each in a
// transaction of its own.
type group struct {
	store *Store
	ctx   context.Context //nolint:containedctx // of one transaction, never cancelled
	work  *work
	todo  []*caller // whose turn is to come
	done  []*caller // whose change has run, and who wait for the commit
	wrote bool      // there is something to commit
	lost  bool      // the transaction is gone
}

// maxGroup bounds how long the first of a group waits for the last, and how much
// work a broken transaction takes with it.
const maxGroup = 256

// caller is one who wants to change something.
type caller struct {
	change func(*work) error
	told   chan order
	group  *group // whose transaction it is handed
	err    error
}

// order is what a caller does next.
type order int

const (
	begin order = iota // a transaction, for all who wait
	turn               // to run the change in the group's transaction
	alone              // in a transaction of its own, because the group's is gone
	over               // err says how it ended
)

// together runs change in a transaction that others may share. A panic in change
// comes out of here.
func (s *Store) together(ctx context.Context, change func(*work) error) error {
	c := &caller{change: change, told: make(chan order, 1)}
	s.queue.join(c)
	for {
		switch <-c.told {
		case begin:
			company := s.queue.take(maxGroup - 1)
			if len(company) == 0 {
				return s.alone(ctx, change, s.queue.next)
			}
			s.begin(ctx, append([]*caller{c}, company...))
		case turn:
			c.group.run(c)
		case alone:
			return s.alone(ctx, change, func() {})
		case over:
			return c.err
		}
	}
}

// alone runs change without company. After is called when the transaction has ended.
func (s *Store) alone(ctx context.Context, change func(*work) error, after func()) error {
	err := func() error {
		defer after()
		return s.inWork(ctx, change)
	}()
	return s.announced(ctx, err)
}

// announced announces what succeeded, and returns how the change then ended.
func (s *Store) announced(ctx context.Context, err error) error {
	if !succeeded(err) {
		return err
	}
	if unannounced := s.announce(ctx); unannounced != nil {
		return unannounced
	}
	return err
}

// begin starts the transaction of a group and gives the first of it the first turn.
// When it cannot be started they all have waited for it.
func (s *Store) begin(ctx context.Context, members []*caller) {
	w, err := s.beginWork(ctx)
	if err != nil {
		s.queue.next()
		for _, c := range members {
			c.err = err
			c.told <- over
		}
		return
	}
	g := &group{store: s, ctx: ctx, work: w, todo: members}
	g.pass()
}

// run is c's turn. Who panics does not wait for the commit.
func (g *group) run(c *caller) {
	defer g.pass()
	kept, before := false, g.work.mark()
	defer func() {
		if !kept {
			g.work.forget(before)
		}
		g.close(kept)
	}()
	if g.exec(`SAVEPOINT change`) {
		c.err = c.change(g.work)
		kept = c.err == nil
	}
	g.done = append(g.done, c)
}

// close ends the savepoint of one change.
func (g *group) close(kept bool) {
	if kept || g.exec(`ROLLBACK TO change`) {
		g.exec(`RELEASE change`)
	}
	g.wrote = g.wrote || kept
}

// exec is how a lost transaction is noticed: SQLite rolls it back by itself, and with
// it goes the savepoint. Nothing is executed from then on, because each statement
// would be a transaction of its own.
func (g *group) exec(statement string) bool {
	if !g.lost {
		_, err := g.work.ExecContext(g.ctx, statement)
		g.lost = err != nil
	}
	return !g.lost
}

// pass hands the transaction to whose turn it is, or ends it.
func (g *group) pass() {
	if g.lost || len(g.todo) == 0 {
		g.end()
		return
	}
	c := g.todo[0]
	g.todo, c.group = g.todo[1:], g
	c.told <- turn
}

// end commits, or rolls back what nobody needs. The next group begins at once: to
// tell this one how it ended takes a while.
func (g *group) end() {
	if g.wrote && !g.lost && g.work.check(g.ctx) == nil {
		g.lost = g.work.Commit() != nil
	} else {
		g.lost = g.lost || g.wrote // what does not stand is found out by each alone
		_ = g.work.Rollback()      // whatever it says, nothing is committed
	}
	g.store.queue.next()
	if g.lost {
		for _, c := range append(g.done, g.todo...) {
			c.told <- alone
		}
		return
	}
	g.tell()
}

// tell announces the group's changes, once for all, and then lets its callers go.
func (g *group) tell() {
	var unannounced error
	if slices.ContainsFunc(g.done, (*caller).succeeded) {
		unannounced = g.store.announce(g.ctx)
	}
	for _, c := range g.done {
		if c.succeeded() && unannounced != nil {
			c.err = unannounced
		}
		c.told <- over
	}
}

func (c *caller) succeeded() bool { return succeeded(c.err) }

// succeeded reports whether the caller will hear of a success.
func succeeded(err error) bool { return err == nil || errors.Is(err, keys.ErrNoChange) }

// queue holds who waits while others write. At any time at most one caller has been
// told to begin and has not called next since.
type queue struct {
	mu      sync.Mutex
	busy    bool
	waiting []*caller
}

// join tells c to begin, now or when it is the first in the queue.
func (q *queue) join(c *caller) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy {
		q.waiting = append(q.waiting, c)
		return
	}
	q.busy = true
	c.told <- begin
}

// next tells the first in the queue to begin.
func (q *queue) next() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = len(q.waiting) > 0
	for _, c := range q.leave(1) {
		c.told <- begin
	}
}

// take returns the first in the queue, at most n, who need not begin any more.
func (q *queue) take(n int) []*caller {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.leave(n)
}

func (q *queue) leave(n int) []*caller {
	n = min(n, len(q.waiting))
	left := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return left
}
