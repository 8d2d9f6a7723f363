package verifier

import (
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// limit is a rate limit, ready to be counted against.
type limit struct {
	keys.RateLimit
	interval int64 // nanoseconds for one call
	all      int64 // nanoseconds for the whole burst
}

// newLimit is of a limit that is not zero.
func newLimit(r keys.RateLimit) limit {
	interval := int64(r.Window) / int64(r.Count)
	return limit{r, interval, interval * int64(r.Burst)}
}

// bucket enforces the rate limit of one key by GCRA, the leaky bucket that needs one
// number: the theoretical arrival time, in nanoseconds on the verifier's monotonic
// clock, at which the bucket would be empty again. A stepped wall clock neither
// locks out nor frees a caller. The zero bucket allows the whole burst.
type bucket struct{ arrival atomic.Int64 }

// spend counts cost calls at the moment at. Wait is zero when they fit, else how long
// to wait until they would; a refused call counts nothing. A cost above the burst
// never fits. The limit must not be zero.
func (b *bucket) spend(l *limit, cost int, at time.Duration) (wait time.Duration, r room) {
	for {
		arrival := b.arrival.Load()
		if most := int64(at) + l.all; arrival > most { // the limit was raised since: at most a full burst of the new limit counts as used
			b.arrival.CompareAndSwap(arrival, most)
			continue
		}
		full := max(arrival, int64(at))
		next := full + l.interval*int64(min(cost, l.Burst))
		switch late := next - int64(at) - l.all; {
		case cost > l.Burst:
			return l.Window, l.room(full - int64(at))
		case late > 0:
			return time.Duration(late), l.room(full - int64(at))
		}
		if b.arrival.CompareAndSwap(arrival, next) {
			return 0, l.room(next - int64(at))
		}
	}
}

// wait is how long one call would have to wait; it counts nothing.
func (b *bucket) wait(l *limit, at time.Duration) time.Duration {
	next := max(b.arrival.Load(), int64(at)) + l.interval
	return max(0, time.Duration(next-int64(at)-l.all))
}

// room is what a bucket still allows.
type room struct {
	left int           // calls of cost one that fit now
	full time.Duration // until all of the burst fits
}

func (l *limit) room(used int64) room {
	return room{left: int((l.all - used) / l.interval), full: time.Duration(used)}
}
