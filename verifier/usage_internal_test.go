package verifier

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// book takes down what is written, unless it is shut.
type book struct {
	mu   sync.Mutex
	shut bool
	sum  map[time.Time]int64
	last keys.LastUse
}

func (b *book) AddUse(_ context.Context, uses []usage.Use) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shut {
		return errors.New("shut")
	}
	if b.sum == nil {
		b.sum = map[time.Time]int64{}
	}
	for _, u := range uses {
		for _, c := range u.Counts {
			b.sum[c.Hour] += c.Calls
		}
		for _, l := range u.Last {
			b.last = l
		}
	}
	return nil
}

func (b *book) AddDenials(context.Context, []usage.Denial) error { return nil }

func newLedger(b *book) *ledger {
	l, c := &ledger{}, &clock{}
	c.open(nil)
	l.open(b, c, 10, nil)
	return l
}

// TestUseBelongsToItsHour: counts are written when the hour ends, not into the next.
func TestUseBelongsToItsHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		l, c := newLedger(b), newCells(1).add("abcdefghijkl")
		time.Sleep(time.Hour - time.Second) // of the bubble: it takes no time
		first := time.Now().UTC().Truncate(time.Hour)
		for range 3 { // one a second, over the end of the hour
			c.tally.count(keys.CodeValid)
			l.uses.note(&c.tally)
			time.Sleep(time.Second + time.Millisecond)
		}
		time.Sleep(flushEvery)
		synctest.Wait()
		if next := first.Add(time.Hour); b.sum[first] != 1 || b.sum[next] != 2 {
			t.Errorf("got %v, want 1 in %v and 2 in %v", b.sum, first, next)
		}
	})
}

// TestUnwrittenUseIsKept: a disk that is full for a while costs no count.
func TestUnwrittenUseIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{shut: true}
		l, c := newLedger(b), newCells(1).add("abcdefghijkl")
		at := time.Now()
		c.tally.slot(1).use(at.UnixNano(), &Call{Agent: "a"})
		c.tally.count(keys.CodeExpired)
		c.tally.countScope("x", keys.CodeValid, time.Now)
		l.uses.note(&c.tally)
		time.Sleep(time.Hour)
		synctest.Wait()
		b.mu.Lock()
		b.shut = false
		b.mu.Unlock()
		time.Sleep(2 * flushEvery)
		synctest.Wait()
		if n := b.sum[at.UTC().Truncate(time.Hour)]; n != 2 {
			t.Errorf("got %d calls soon after writing was possible again, want 2", n)
		}
		c.tally.count(keys.CodeValid)
		l.uses.note(&c.tally)
		time.Sleep(2 * flushEvery)
		synctest.Wait()
		var sum int64
		for _, n := range b.sum {
			sum += n
		}
		if first := at.UTC().Truncate(time.Hour); len(b.sum) != 2 || b.sum[first] != 2 {
			t.Errorf("got %v, want the two calls of the first hour under it", b.sum)
		}
		if sum != 3 || !b.last.At.Equal(at.Truncate(time.Microsecond)) || b.last.Agent != "a" {
			t.Errorf("got %d calls and the last use %+v, want 3 and the one at %v", sum, b.last, at)
		}
	})
}

// TestNoCountIsLostInTheRush: what is counted while a writing takes the tally is in it
// or waits for the next. Many short rounds, because the last count is the one to lose.
func TestNoCountIsLostInTheRush(t *testing.T) {
	const rounds = 50_000
	b := &book{}
	l, c := newLedger(b), newCells(1).add("abcdefghijkl")
	for i := range rounds {
		var wg sync.WaitGroup
		c.tally.count(keys.CodeValid)
		l.uses.note(&c.tally)
		var flushing atomic.Bool
		wg.Go(func() { flushing.Store(true); _ = l.flusher.Flush() })
		for !flushing.Load() {
			runtime.Gosched()
		}
		for range i % 500 { // so that it comes at any moment of the writing
			flushing.Load()
		}
		c.tally.count(keys.CodeValid)
		l.uses.note(&c.tally)
		wg.Wait()
		_ = l.flusher.Flush()
		if n := c.tally.valid.Load(); n != 0 {
			t.Fatalf("%d counted and in no list", n)
		}
	}
	_ = l.close()
	var sum int64
	for _, n := range b.sum {
		sum += n
	}
	if sum != 2*rounds {
		t.Errorf("%d calls written, want %d", sum, 2*rounds)
	}
}
