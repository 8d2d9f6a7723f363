package model

// check is one call of Authenticate on its way, and the look and the read that it
// may have begun, on which others may be waiting.
type check struct {
	stage     stage
	late      bool // it began after the revoke had returned
	began     int8
	forgotten int8
	cell      int8
	epoch     int8
	waits     int8 // the check whose look or read it waits for
	glance    bool // the result of its look does not matter
	verdict   verdict

	look look
	read read
}

type look struct {
	told
	touches bool // what it read holds a change of the key
	failed  bool
	over    bool
}

type read struct {
	row    entry
	marked bool
	over   bool
}

type verdict int8

const (
	refused verdict = iota + 1
	accepted
)

type stage int8

const (
	start stage = iota
	findCell
	readEpoch
	judge
	joinLook
	noteEpoch
	readFeed
	mark
	drop
	countForgetting
	tell
	waitLook
	findCellAgain
	useCell
	joinRead
	readRow
	land
	waitRead
	done
)

// move does the check's next thing. It reports whether there is one.
func (w *world) move(i int8, r rules) (what string, ok bool) {
	c := &w.checks[i]
	switch c.stage {
	case start:
		c.late, c.forgotten = w.returned, w.forgotten
		c.stage = findCell
		return "starts", true
	case findCell:
		c.cell, c.began = w.cached, w.now
		c.stage = readEpoch
		return "finds the cell and reads the clock", true
	case readEpoch:
		c.epoch = w.epoch(r)
		c.stage = judge
		return "reads the epoch", true
	case judge:
		c.judge(w, r)
		return "compares with the last look", true
	case joinLook, noteEpoch, readFeed, mark, drop, countForgetting, tell, waitLook:
		return w.moveLook(i, c, r)
	case findCellAgain:
		if r.recheck && c.forgotten != w.forgotten {
			c.cell = w.cached
		}
		c.stage = useCell
		return "makes sure of the cell", true
	case useCell:
		c.stage, c.epoch, c.forgotten, c.began = joinRead, 0, 0, 0
		if c.cell != none && w.cells[c.cell] != unknown {
			c.end(w.cells[c.cell])
		}
		c.cell = 0
		return "uses what is in the cell", true
	default:
		return w.moveRead(i, c, r)
	}
}

// judge is watch.fresh.
func (c *check) judge(w *world, r rules) {
	age := c.began - w.last.began
	switch {
	case w.last.noted != c.epoch:
		c.stage = joinLook
	case age < poll:
		c.stage = findCellAgain
	case age < lease || !r.lease:
		c.stage, c.glance = joinLook, true
	default:
		c.stage = joinLook
	}
}

// end decides by what is known of the key.
func (c *check) end(e entry) {
	verdict := refused
	if e == good {
		verdict = accepted
	}
	*c = check{stage: done, late: c.late, verdict: verdict, look: c.look, read: c.read}
}

// moveRead is cache.current.
func (w *world) moveRead(i int8, c *check, r rules) (what string, ok bool) {
	switch c.stage {
	case joinRead:
		if w.flying != none && (!r.newFills || !w.checks[w.flying].read.marked) {
			c.stage, c.waits = waitRead, w.flying
			return "joins a read", true
		}
		w.flying, c.read, c.stage = i, read{}, readRow
		return "begins a read", true
	case readRow:
		c.read.row, c.stage = w.row(), land
		return "reads the row", true
	case land:
		if w.flying == i {
			w.flying = none
			if !r.markFills || !c.read.marked {
				w.remember(c.read.row)
			}
		}
		c.read.over = true
		c.end(c.read.row)
		return "ends its read", true
	case waitRead:
		other := &w.checks[c.waits].read
		if !other.over {
			return "", false
		}
		c.end(other.row)
		return "is told the row", true
	}
	return "", false
}

// remember puts what was read into the cell, a new one if it is gone.
func (w *world) remember(e entry) {
	if w.cached == none {
		w.cached = 1
	}
	w.cells[w.cached] = e
}
