package model

// moveLook is watch.look, and watch.run with cache.forget in it.
func (w *world) moveLook(i int8, c *check, r rules) (what string, ok bool) {
	l := &c.look
	switch c.stage {
	case joinLook:
		switch {
		case w.current == none:
			w.current, *l, c.stage = i, look{}, noteEpoch
			l.began = w.now
			if !r.noteFirst {
				c.stage = readFeed
			}
			return "begins a look", true
		case c.glance:
			c.stage = findCellAgain
			return "leaves the look to another", true
		}
		c.stage, c.waits = waitLook, w.current
		return "joins a look", true
	case noteEpoch:
		l.noted = w.epoch(r)
		c.stage = readFeed
		if !r.noteFirst {
			c.stage = w.afterFeed(l, r)
		}
		return "notes the epoch", true
	case readFeed:
		w.readFeed(l)
		c.stage = w.afterFeed(l, r)
		if !r.noteFirst && !l.failed {
			c.stage = noteEpoch
		}
		if l.failed {
			w.current, l.over = none, true
			c.stage = done
			c.verdict = refused
			if c.glance {
				c.stage, c.verdict = findCellAgain, 0
			}
			return "cannot read the feed", true
		}
		return "reads the feed", true
	case waitLook:
		return w.waitLook(c, r)
	}
	return w.forget(c, r)
}

// readFeed is Changes: it follows the epoch file to the one that has the name now,
// and reads the changes since the look before.
func (w *world) readFeed(l *look) {
	if w.unreadable {
		l.failed = true
		return
	}
	if w.path != none && w.path != w.mapped {
		w.mapped = w.path
		w.turn++
	}
	l.touches = w.revoked && !w.known
}

func (w *world) waitLook(c *check, r rules) (what string, ok bool) {
	l := &w.checks[c.waits].look
	if !l.over {
		return "", false
	}
	covers := (!r.lookNoted || l.noted >= c.epoch) && (!r.lookAge || c.began-l.began < lease)
	switch {
	case !covers:
		c.stage = joinLook
	case l.failed:
		c.end(revoked)
	default:
		c.stage = findCellAgain
	}
	return "is told of the look", true
}

// afterFeed is the order in which a look makes known what it read.
func (w *world) afterFeed(_ *look, r rules) stage {
	switch {
	case !r.forgetFirst:
		return tell
	case r.markFirst:
		return mark
	}
	return drop
}

func (w *world) forget(c *check, r rules) (what string, ok bool) {
	l := &c.look
	last := tell
	switch c.stage {
	case mark:
		what = "marks the reads under way"
		if l.touches && w.flying != none {
			w.checks[w.flying].read.marked = true
		}
		c.stage = drop
		if !r.markFirst {
			c.stage = countForgetting
		}
	case drop:
		what = "drops what changed"
		if l.touches && w.cached != none {
			w.cells[w.cached] = unknown
		}
		c.stage = countForgetting
		if !r.markFirst {
			c.stage = mark
		}
	case countForgetting:
		what = "counts the forgetting"
		if l.touches {
			w.forgotten++
			w.known = true
		}
		c.stage = last
		if !r.forgetFirst {
			c.stage = findCellAgain
			w.current, l.over = none, true
		}
	case tell:
		what = "tells of its look"
		w.last = l.told
		if !r.forgetFirst {
			c.stage = mark
			return what, true
		}
		w.current, l.over = none, true
		c.stage = findCellAgain
	}
	return what, true
}
