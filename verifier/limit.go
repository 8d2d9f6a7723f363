package verifier

import (
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// bucket enforces the rate limit of one key by GCRA, the leaky bucket that needs one
// number: the theoretical arrival time, in nanoseconds on the verifier's monotonic
// clock, at which the bucket would be empty again. A stepped wall clock neither
// locks nor frees anybody. The zero bucket is full of room.
type bucket struct{ arrival atomic.Int64 }

// take counts cost calls at the moment at. It returns zero when they fit, else how
// long to wait until they would; a refused call counts nothing. A cost above the
// burst never fits.
func (b *bucket) take(limit keys.RateLimit, cost int, at time.Duration) time.Duration {
	switch {
	case limit.IsZero():
		return 0
	case cost > limit.Burst:
		return limit.Window
	}
	interval := int64(limit.Window) / int64(limit.Count)
	room := interval * int64(limit.Burst)
	for {
		arrival := b.arrival.Load()
		next := max(arrival, int64(at)) + interval*int64(cost)
		if wait := next - int64(at) - room; wait > 0 {
			return time.Duration(wait)
		}
		if b.arrival.CompareAndSwap(arrival, next) {
			return 0
		}
	}
}
