package sqlite

import (
	"context"
	"time"

	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
)

// A change that takes something away waits, after its commit, until no verifier on another
// host can accept the old state. It reads the slots of the epoch page:
//
//   - A slot is done if it is free, or if its floor has reached the position that the database
//     had after the commit.
//   - If the change obtains the lock of another slot, the server of that slot is not running,
//     and its leases run out. The change closes the slot and frees it a lease and 5 % later,
//     because a server that only lost its lock would still grant leases otherwise. If this
//     process ends before that, the slot stays closed, and the next change begins again.
//   - A lease and 5 % after the commit no verifier uses the old state any more, whatever the
//     slots say.
//
// Changes in all processes do this, with no other means than the page and the locks. A program
// that only checks keys never looks at slots.
const (
	// slotPause is between two looks at the slots. A verifier that answers at once does so in
	// some milliseconds, and one look takes less than one thousandth of this.
	slotPause = time.Millisecond

	// closeWithin is how long after its commit a change closes slots, so that it can free them
	// soon after it has waited long enough for itself.
	closeWithin = feed.LongestLease - feed.Lease

	// handedOutUnknown is how long an answer may be kept for all that is known.
	handedOutUnknown = time.Minute
)

// committer is one change that waits.
type committer struct {
	database string
	page     *page
	position uint64
	since    time.Time // when the change was committed and announced

	nonces [slotCount]uint64 // as the change found them
	done   [slotCount]bool
	closed [slotCount]time.Time // when this change obtained the lock of the slot, which it keeps
	locks  *lockFile            // nil until it is needed
	no     bool                 // this change closes no other slot
}

// everywhere waits, and fills w. It returns how many slots were in use. Where no server can hold one, answers of the
// verification endpoint may be kept all the same.
func (c *committer) everywhere(ctx context.Context, w *store.Wait) (servers int, err error) {
	w.Everywhere, w.Waited, w.Unheard, w.Confirmed, w.Late = time.Time{}, 0, 0, nil, nil
	if !canHold {
		w.Everywhere = clock().Add(handedOutUnknown)
		return 0, nil
	}
	handed, servers, left := c.first()
	switch {
	case w.No && left:
		handed = later(handed, clock().Add(feed.LongestLease-time.Since(c.since)))
	case left:
		begun, before := clock(), c.lists()
		err = c.wait(ctx)
		w.Waited, w.Unheard = time.Since(begun), c.unheard()
		w.Confirmed, w.Late = c.names(before)
	}
	w.Everywhere = later(handed, clock()).UTC().Add(time.Microsecond - 1).Truncate(time.Microsecond)
	return servers, err
}

// spread waits for a change that was announced.
func (s *Store) spread(ctx context.Context, done *told) error {
	c := &committer{database: s.path, position: done.position, since: done.since}
	if done.counter != nil {
		c.page = done.counter.page
	}
	w := store.WaitFrom(ctx)
	servers, err := c.everywhere(ctx, w)
	if err == nil && servers > 0 && !w.No && len(done.rows) > 0 {
		s.noteEffective(ctx, done, w, servers)
	}
	return err
}

// mostNamed is how many guards one audit row names that confirmed its change, and how many that
// did not.
const mostNamed = 20

func few(list []store.Guard) (names []string) {
	for _, g := range list[:min(len(list), mostNamed)] {
		names = append(names, g.String())
	}
	return names
}

// noteTime is how long a change waits for its turn to write that it is in effect.
const noteTime = 250 * time.Millisecond

// noteEffective writes the audit row, if that is possible soon. Without it nothing else
// differs.
func (s *Store) noteEffective(ctx context.Context, done *told, w *store.Wait, servers int) {
	of := &done.newest
	e, err := audit.NewEvent(ctx, audit.Actor(of.Actor), audit.ActionEffective, s.usage.now(), audit.Effective{
		Row: of.Seq, Key: of.KeyID, Position: done.position,
		WaitedMS: w.Waited.Milliseconds(), Servers: servers, Unheard: w.Unheard,
		Confirmed: few(w.Confirmed), Late: few(w.Late), More: max(len(w.Confirmed)-mostNamed, 0) + max(len(w.Late)-mostNamed, 0),
	})
	if err != nil {
		return
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer stop()
	_ = s.Record(ctx, e)
}

// clock is for what people and programs are told. Waits use its monotonic reading.
func clock() time.Time { return time.Now() } //nolint:forbidigo // see above

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// first reads all slots: until when answers may be kept, how many slots are in use, and
// whether there is one to wait for.
func (c *committer) first() (handed time.Time, servers int, left bool) {
	for i := range slotCount {
		s, ok := c.page.slot(i)
		if !ok { // the file was cut short
			return clock().Add(handedOutUnknown), servers, true
		}
		handed = later(handed, s.until())
		if s.nonce != slotFree {
			servers++
		}
		c.nonces[i], c.done[i] = s.nonce, s.reached(c.position)
		left = left || !c.done[i]
	}
	return handed, servers, left
}

// wait looks again and again. If ctx ends, slots that this change closed stay closed.
func (c *committer) wait(ctx context.Context) error {
	defer c.letGo()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for c.look() {
		pause.Reset(slotPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return notEverywhere(context.Cause(ctx))
		}
	}
	return nil
}

// notEverywhere says that a change did not wait long enough.
func notEverywhere(cause error) error {
	return &store.WrittenError{What: "guards on other hosts may accept the old state for up to 2.1 s more", Cause: cause}
}

// look reports whether there is still something to wait for.
func (c *committer) look() (left bool) {
	waited := time.Since(c.since)
	for i := range slotCount {
		switch {
		case c.done[i]:
		case !c.closed[i].IsZero():
			left = c.free(i) || left
		case c.reached(i):
			c.done[i] = true
		case waited < feed.LongestLease:
			left = true
			if waited < closeWithin {
				c.close(i)
			}
		}
	}
	return left
}

func (c *committer) reached(i int) bool {
	s, ok := c.page.slot(i)
	return ok && s.reached(c.position)
}

// unheard counts the slots whose servers did not say that all of their verifiers know.
func (c *committer) unheard() (n int) {
	for i := range slotCount {
		if !c.done[i] {
			n++
		}
	}
	return n
}

// close takes the nonce out of a slot whose lock can be obtained.
func (c *committer) close(i int) {
	if !c.open() {
		return
	}
	if locked, err := c.locks.tryByte(i); err != nil || !locked {
		return
	}
	s, ok := c.page.slot(i)
	switch {
	case !c.locks.isAt(slotsPath(c.database)): // the server may have the lock in the new file
		c.no = true
		c.locks.freeByte(i)
	case ok && s.nonce != slotFree && c.page.swapSlot(i, slotNonce, s.nonce, slotClosed):
		c.closed[i] = clock() // from here on its server grants nothing
	default:
		c.locks.freeByte(i)
	}
}

// free frees a slot that this change closed, when its leases have ended, and reports whether
// they have not.
func (c *committer) free(i int) (left bool) {
	if time.Since(c.closed[i]) < feed.LongestLease {
		return true
	}
	if c.locks.isAt(slotsPath(c.database)) { // else the next change closes the slot again
		c.page.swapSlot(i, slotNonce, slotClosed, slotFree)
	}
	c.locks.freeByte(i)
	return false
}

func (c *committer) open() bool {
	if c.locks == nil && !c.no {
		c.locks = openSlots(c.database)
		c.no = c.locks == nil
	}
	return !c.no
}

func (c *committer) letGo() {
	if c.locks != nil {
		c.locks.close()
		c.locks = nil
	}
}
