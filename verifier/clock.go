package verifier

import (
	"sync/atomic"
	"time"
)

// moment is one time, by the clocks that a check needs.
type moment struct {
	at   time.Duration // monotonic, since the verifier started
	wall int64         // by the computer's clock, in nanoseconds since 1970
	now  int64         // by the source's clock, by which keys expire
}

// clock tells moments. Reading the monotonic clock and the wall clock takes longer than looking
// up a key, so the wall clock is read once in a step, and counted on with the monotonic one.
type clock struct {
	read   func() time.Time // Options.Now; nil: the computer's clocks
	source func(time.Time) time.Time
	start  time.Time
	last   atomic.Pointer[moment] // the last exact one
}

// step is how much later a check may learn that the clock by which keys expire was set.
const step = time.Millisecond

// open starts c.
func (c *clock) open(read func() time.Time) {
	c.read = read
	c.start = c.time()
}

// follow has keys expire by the clock of a remote source. The lease must also end while the
// computer sleeps. Only the wall clock runs then, so it is read each time.
func (c *clock) follow(source Source) { c.source = source.Now }

// time is the time by both clocks, read now.
func (c *clock) time() time.Time {
	if c.read != nil {
		return c.read()
	}
	return time.Now() //nolint:forbidigo // the default clock
}

// elapsed is the monotonic time since the start.
func (c *clock) elapsed() time.Duration {
	if c.read != nil {
		return c.read().Sub(c.start)
	}
	return time.Since(c.start)
}

// moment is now.
func (c *clock) moment() moment {
	last := c.last.Load()
	if last == nil || c.read != nil {
		return c.exactly()
	}
	if c.source != nil {
		t := c.time()
		return c.since(last, t.Sub(c.start), t.UnixNano())
	}
	at := c.elapsed()
	return c.since(last, at, last.wall+int64(at-last.at))
}

// since is a moment after an exact one, or an exact one.
func (c *clock) since(last *moment, at time.Duration, wall int64) moment {
	if at-last.at >= step {
		return c.exactly()
	}
	return moment{at, wall, last.now + int64(at-last.at)}
}

// exactly is now, whatever was read before.
func (c *clock) exactly() moment {
	t := c.time()
	m := moment{at: t.Sub(c.start), wall: t.UnixNano()}
	m.now = m.wall
	if c.source != nil {
		m.now = c.source(t).UnixNano()
	}
	if c.read == nil {
		c.last.Store(&m)
	}
	return m
}
