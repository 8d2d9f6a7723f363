package verifier

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// TestBucketIsExact: callers who come at one instant get exactly the burst between
// them. Many short rounds, because an update that gets lost does so at the moment
// when all start together.
func TestBucketIsExact(t *testing.T) {
	limit := keys.RateLimit{Count: 5000, Window: time.Minute, Burst: 5000}
	for range 50 {
		var b bucket
		var passed atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5000 {
					if wait, _ := b.take(limit, 1, time.Hour); wait == 0 {
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
