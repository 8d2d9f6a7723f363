package verifier

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// TestLimiterIsExact: callers who come at one instant get exactly the burst between
// them. Many short rounds, because an update that gets lost does so at the moment
// when all start together.
func TestLimiterIsExact(t *testing.T) {
	k := &keys.Key{ID: "aaaaaaaaaaaa", RateLimit: keys.RateLimit{Count: 5000, Window: time.Minute, Burst: 5000}}
	now := time.Unix(1_800_000_000, 0)
	for range 50 {
		l := limiter{start: now}
		var passed atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5000 {
					if l.take(k, 1, now) == 0 {
						passed.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if n := passed.Load(); n != 5000 {
			t.Fatalf("20000 calls at one instant: %d passed, want 5000", n)
		}
	}
}
