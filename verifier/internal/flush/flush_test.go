package flush_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier/internal/flush"
)

// desk is a Flusher, and how often it wrote.
type desk struct {
	flush.Flusher
	times atomic.Int64
	mu    sync.Mutex // guards what follows
	err   error
	told  []error
}

func newDesk() *desk {
	d, began := &desk{}, time.Now()
	d.Rest, d.Retry = time.Minute, true
	d.Elapsed = func() time.Duration { return time.Since(began) }
	d.Write = func() error { d.times.Add(1); return d.failing() }
	d.After = func(err error) { d.mu.Lock(); d.told = append(d.told, err); d.mu.Unlock() }
	return d
}

func (d *desk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *desk) failing() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *desk) reports() []error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.told)
}

func (d *desk) want(t *testing.T, times int64, when string) {
	t.Helper()
	synctest.Wait()
	if got := d.times.Load(); got != times {
		t.Errorf("%s: written %d times, want %d", when, got, times)
	}
}

// What is asked for twice is written once, at the earlier of the two times.
func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.Within(5 * time.Second)
		d.Within(9 * time.Second)
		d.Within(2 * time.Second)
		time.Sleep(2*time.Second - 1)
		d.want(t, 0, "before it is due")
		time.Sleep(time.Nanosecond)
		d.want(t, 1, "when it is due")
		time.Sleep(time.Hour)
		d.want(t, 1, "long afterwards")
		d.Within(0)
		d.want(t, 2, "at once")
	})
}

// After a failure nothing is written for a while, also on request, and then it is tried
// again without a request.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.fail(errors.New("disk gone"))
		d.Within(0)
		d.want(t, 1, "at once")
		if !d.Resting() || len(d.reports()) != 1 {
			t.Errorf("after a failure: resting %v, told %d times, want true and once", d.Resting(), len(d.reports()))
		}
		d.Within(0)
		time.Sleep(time.Minute - 1)
		d.want(t, 1, "during the rest")
		d.fail(nil)
		time.Sleep(time.Nanosecond)
		d.want(t, 2, "after the rest")
		if d.Resting() {
			t.Error("rests after a writing that succeeded")
		}
		time.Sleep(time.Hour)
		d.want(t, 2, "long afterwards")
	})
}

// A writing that panics has failed, and takes nothing with it.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		var mended atomic.Bool
		d.Write = func() error {
			if !mended.Load() {
				panic("driver")
			}
			return nil
		}
		d.Within(0)
		synctest.Wait()
		if len(d.reports()) != 1 || !errors.Is(d.reports()[0], keys.ErrUnavailable) {
			t.Errorf("told %v, want that it is unavailable", d.reports())
		}
		mended.Store(true)
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// Close waits for what is under way, writes once more and returns what came of that;
// afterwards nothing is written.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		var at, most atomic.Int64
		d.Write = func() error {
			most.Store(max(most.Load(), at.Add(1)))
			time.Sleep(time.Second)
			at.Add(-1)
			d.times.Add(1)
			return d.failing()
		}
		d.Within(0)
		synctest.Wait() // it is under way
		d.fail(errors.New("disk gone"))
		if err := d.Close(); err == nil {
			t.Error("Close: got no error, want that of the last writing")
		}
		d.want(t, 2, "after Close")
		d.Within(0)
		time.Sleep(time.Hour)
		d.want(t, 2, "long after Close")
		if n := most.Load(); n != 1 {
			t.Errorf("%d writings at once, want one", n)
		}
	})
}

// What is asked for while a writing is under way waits behind it, and rests with it if that
// one fails: only Close writes once more.
func TestAskedForDuringAFailure(t *testing.T) {
	d := newDesk()
	d.Elapsed = func() time.Duration { return time.Hour }
	begun, release, told := make(chan struct{}, 200), make(chan struct{}), make(chan struct{}, 200)
	d.Write = func() error {
		d.times.Add(1)
		begun <- struct{}{}
		<-release
		return errors.New("disk gone")
	}
	d.After = func(error) { told <- struct{}{} }
	d.Within(0)
	<-begun
	for range 100 {
		d.Within(0)
	}
	close(release)
	<-told
	if err := d.Close(); err == nil {
		t.Error("Close: got no error, want that of the last writing")
	}
	if n := d.times.Load(); n != 2 {
		t.Errorf("written %d times, want once, and once by Close", n)
	}
}
