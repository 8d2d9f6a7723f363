package verifier

import (
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// bucket enforces the rate limit of one key by GCRA, the leaky bucket that needs one
// number: the theoretical arrival time, in nanoseconds on the verifier's monotonic
// clock, at which the bucket would be empty again. A stepped wall clock neither
// locks out nor frees a caller. The zero bucket allows the whole burst.
type bucket struct{ arrival atomic.Int64 }

// spend counts cost calls at the moment at. Wait is zero when they fit, else how long
// to wait until they would; a refused call counts nothing. A cost above the burst
// never fits. The limit must not be zero.
func (b *bucket) spend(limit keys.RateLimit, cost int, at time.Duration) (wait time.Duration, r room) {
	interval := int64(limit.Window) / int64(limit.Count)
	all := interval * int64(limit.Burst)
	for {
		arrival := b.arrival.Load()
		if most := int64(at) + all; arrival > most { // the limit was raised since: at most a full burst of the new limit counts as used
			b.arrival.CompareAndSwap(arrival, most)
			continue
		}
		full := max(arrival, int64(at))
		next := full + interval*int64(min(cost, limit.Burst))
		switch late := next - int64(at) - all; {
		case cost > limit.Burst:
			return limit.Window, roomOf(full-int64(at), interval, all)
		case late > 0:
			return time.Duration(late), roomOf(full-int64(at), interval, all)
		}
		if b.arrival.CompareAndSwap(arrival, next) {
			return 0, roomOf(next-int64(at), interval, all)
		}
	}
}

// wait is how long one call would have to wait; it counts nothing.
func (b *bucket) wait(limit keys.RateLimit, at time.Duration) time.Duration {
	interval := int64(limit.Window) / int64(limit.Count)
	next := max(b.arrival.Load(), int64(at)) + interval
	return max(0, time.Duration(next-int64(at)-interval*int64(limit.Burst)))
}

// room is what a bucket still allows.
type room struct {
	left int           // calls of cost one that fit now
	full time.Duration // until all of the burst fits
}

func roomOf(used, interval, all int64) room {
	return room{left: int((all - used) / interval), full: time.Duration(used)}
}
