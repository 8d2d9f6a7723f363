package verifier

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// limiter enforces the rate limits of keys by GCRA, the leaky bucket that needs one
// number per key: the theoretical arrival time, at which the bucket would be empty
// again. It follows the monotonic clock, so that a stepped wall clock neither
// locks nor frees anybody.
//
// Only keys that carry a limit and were proved have a cell, so memory is bounded by
// the number of such keys, not by what strangers send.
type limiter struct {
	start time.Time
	cells sync.Map // key id (string) -> *atomic.Int64: nanoseconds since start
}

// take counts cost calls of k at now. It returns zero when they fit, else how long
// to wait until they would; a refused call counts nothing. A cost above the burst
// never fits.
func (l *limiter) take(k *keys.Key, cost int, now time.Time) time.Duration {
	switch {
	case k.RateLimit.IsZero():
		return 0
	case cost > k.RateLimit.Burst:
		return k.RateLimit.Window
	}
	interval := int64(k.RateLimit.Window) / int64(k.RateLimit.Count)
	room := interval * int64(k.RateLimit.Burst)
	at := int64(now.Sub(l.start))
	cell := l.cell(k.ID)
	for {
		arrival := cell.Load()
		next := max(arrival, at) + interval*int64(cost)
		if wait := next - at - room; wait > 0 {
			return time.Duration(wait)
		}
		if cell.CompareAndSwap(arrival, next) {
			return 0
		}
	}
}

func (l *limiter) cell(id string) *atomic.Int64 {
	if c, ok := l.cells.Load(id); ok {
		return c.(*atomic.Int64)
	}
	c, _ := l.cells.LoadOrStore(id, new(atomic.Int64))
	return c.(*atomic.Int64)
}
