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
	limit := newLimit(keys.RateLimit{Count: 5000, Window: time.Minute, Burst: 5000})
	for range 50 {
		var b bucket
		var passed atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5000 {
					if wait, _ := b.spend(&limit, 1, time.Hour); wait == 0 {
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

// TestRaisedLimitFreesAtOnce: what was used up of a day's call is nothing against a
// thousand a second.
func TestRaisedLimitFreesAtOnce(t *testing.T) {
	var b bucket
	day := newLimit(keys.RateLimit{Count: 1, Window: 24 * time.Hour, Burst: 1})
	second := newLimit(keys.RateLimit{Count: 1000, Window: time.Second, Burst: 1000})
	if wait, _ := b.spend(&day, 1, time.Hour); wait != 0 {
		t.Fatalf("the first call waits %v", wait)
	}
	wait, r := b.spend(&second, 1, time.Hour+time.Minute)
	if wait > time.Millisecond || r.left < 0 || r.full > time.Second {
		t.Errorf("a minute after, under the new limit: got a wait of %v, %d left, all in %v", wait, r.left, r.full)
	}
	if wait, _ := b.spend(&second, 1, time.Hour+2*time.Minute); wait != 0 {
		t.Errorf("two minutes after: got a wait of %v, want none", wait)
	}
}
