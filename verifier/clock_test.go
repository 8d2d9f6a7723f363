package verifier

import (
	"testing"
	"testing/synctest"
	"time"
)

// The wall clock is set by an hour just after it was read. The monotonic time is right at once,
// and the wall clock's a step later; a clock that was set back neither stops nor jumps twice.
func TestWallClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			var c clock
			c.open(nil)
			c.moment()
			last := *c.last.Load() // as if this had been the time, and the clock were set since
			last.wall -= int64(by)
			last.now = last.wall
			c.last.Store(&last)

			time.Sleep(step - 1)
			late := c.moment()
			if late.at != step-1 || late.now != time.Now().Add(-by).UnixNano() || late.wall != late.now {
				t.Errorf("within a step: got %+v", late)
			}
			time.Sleep(time.Nanosecond)
			right := c.moment()
			if right.at != step || right.now != time.Now().UnixNano() || right.wall != right.now {
				t.Errorf("a step later: got %+v", right)
			}
		})
	}
}

// The lease of a remote source ends while the computer sleeps, when only the wall clock runs.
// So its wall clock is never counted on, however soon it is read again.
func TestWallClockOfRemoteSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock
		c.open(nil)
		c.source = func(t time.Time) time.Time { return t.Add(time.Minute) }
		c.moment()
		last := *c.last.Load()
		last.wall -= int64(time.Hour)
		c.last.Store(&last)
		m := c.moment()
		if m.wall != time.Now().UnixNano() {
			t.Errorf("wall: got %v, want the clock of the computer", time.Unix(0, m.wall))
		}
		if m.now != time.Now().Add(time.Minute).UnixNano() {
			t.Errorf("now: got %v, want the clock of the source", time.Unix(0, m.now))
		}
	})
}

// A clock of the program's own is read each time.
func TestOwnClock(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	var c clock
	c.open(func() time.Time { return at })
	c.moment()
	at = at.Add(time.Microsecond)
	if m := c.moment(); m.at != time.Microsecond || m.now != at.UnixNano() || !c.time().Equal(at) {
		t.Errorf("got %+v and %v, want %v", m, c.time(), at)
	}
}
