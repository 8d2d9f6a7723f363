package verifier

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// TestLimiterIsExact: 64 callers at one instant get exactly the burst, whatever the
// order in which they come.
func TestLimiterIsExact(t *testing.T) {
	k := &keys.Key{ID: "aaaaaaaaaaaa", RateLimit: keys.RateLimit{Count: 100, Window: time.Minute, Burst: 100}}
	now := time.Unix(1_800_000_000, 0)
	l := limiter{start: now}
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 1000 {
				if l.take(k, 1, now) == 0 {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := passed.Load(); n != 100 {
		t.Errorf("64000 calls at one instant: %d passed, want 100", n)
	}
}
