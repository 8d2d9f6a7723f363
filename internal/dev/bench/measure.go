package bench

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// Case is one row of the table.
type Case struct {
	Name string
	// Floor is the name of the case that this one is measured against; empty for a
	// floor, and for what has none.
	Floor string
	// Promise is the highest ratio to the floor that is promised; Slack is the one at
	// which the check fails, further off because other machines are not this one. Zero
	// means that nothing is promised.
	Promise, Slack float64
	// NoAllocs promises that nothing is allocated.
	NoAllocs bool
	// Processors is how many Run keeps busy at once; 0 means 1.
	Processors int
	// Run does it n times. It must do the same work each time it is called.
	Run func(n int) error
}

// Result is what was measured of one case.
type Result struct {
	Case
	Nanoseconds float64 // per operation, the median of the slices
	Allocs      uint64  // per operation, rounded down like testing.Benchmark's
	Ratio       float64 // to the floor, the median of the rounds; 0 without a floor

	// Work is the ratio of the processor time that the two took: the lower quartile of the
	// rounds, because disturbances add to it. It is close to Ratio on an idle machine without
	// waits for a disk, and stays so on a busy one. Waiting for a lock uses no processor time,
	// though, so for a case with several processors it is the ratio by the clock of the fastest
	// slices: some slice has all processors for itself.
	Work float64
}

// Effort says how long a measurement takes: Rounds times two slices.
type Effort struct {
	Rounds int
	Slice  time.Duration
}

// slice is one run of a case without a break, per operation.
type slice struct{ nanoseconds, work, allocs float64 }

// Measure runs the case and its floor in turn. Noise that lasts longer than a slice affects
// both alike and leaves their ratio unchanged; shorter noise affects only some rounds, and the
// median ignores it. floor may be nil.
func Measure(c Case, floor *Case, e Effort) (Result, error) {
	r := Result{Case: c}
	n, err := calibrate(c, e.Slice)
	if err != nil {
		return r, err
	}
	floorN := 0
	if floor != nil {
		if floorN, err = calibrate(*floor, e.Slice); err != nil {
			return r, err
		}
	}
	var times, belows, allocs, ratios, works []float64
	runtime.GC()
	for range e.Rounds {
		one, err := run(c, n)
		if err != nil {
			return r, err
		}
		times, allocs = append(times, one.nanoseconds), append(allocs, one.allocs)
		if floor == nil {
			continue
		}
		below, err := run(*floor, floorN)
		if err != nil {
			return r, err
		}
		belows = append(belows, below.nanoseconds)
		ratios, works = append(ratios, one.nanoseconds/below.nanoseconds), append(works, one.work/below.work)
	}
	r.Nanoseconds, r.Allocs, r.Ratio, r.Work = median(times), uint64(median(allocs)), median(ratios), part(works, 4)
	if c.Processors > 1 && floor != nil {
		r.Work = slices.Min(times) / slices.Min(belows)
	}
	return r, nil
}

// calibrate returns how many operations fill a slice, at least one. It also warms up.
func calibrate(c Case, want time.Duration) (n int, err error) {
	for n = 1; ; n *= 2 {
		one, err := run(c, n)
		if err != nil {
			return 0, err
		}
		if took := one.nanoseconds * float64(n); took >= float64(want)/2 {
			return max(1, int(float64(want)/one.nanoseconds)), nil
		}
	}
}

func run(c Case, n int) (slice, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin, worked := time.Now(), processorTime()
	err := c.Run(n)
	took, work := time.Since(begin), processorTime()-worked
	runtime.ReadMemStats(&after)
	if err != nil {
		return slice{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	per := func(total float64) float64 { return total / float64(n) }
	return slice{per(float64(took)), per(float64(work)), per(float64(after.Mallocs - before.Mallocs))}, nil
}

func median(values []float64) float64 { return part(values, 2) }

// part returns the value that one in n of the values are below; 0 for no values.
func part(values []float64, n int) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/n]
}
