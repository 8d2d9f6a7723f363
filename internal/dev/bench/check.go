package bench

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// checkRounds and checkSlice make up an [Effort] of some tenths of a second a case.
const (
	checkRounds = 30
	checkSlice  = 10 * time.Millisecond
)

// tries is how often a case is measured before the check reports it as slow.
const tries = 3

// ErrBroken means that a promise was not kept.
var ErrBroken = errors.New("slower than promised, also with the slack that other machines get")

// Check measures every wanted case with a promise, writes a line about each to w, and returns
// [ErrBroken] if one did not keep its promise in any of three tries.
//
// It compares processor time, not the clock as the table does: a machine that checks changes
// also does other work, whose time must not count.
func Check(w io.Writer, cases []Case, want func(name string) bool) error {
	var all []error
	for _, c := range cases {
		if c.Slack == 0 || !want(c.Name) {
			continue
		}
		all = append(all, check(w, c, find(cases, c.Floor)))
	}
	return errors.Join(all...)
}

func check(w io.Writer, c Case, floor *Case) error {
	var broken error
	for range tries {
		r, err := Measure(c, floor, Effort{checkRounds, checkSlice})
		if err != nil {
			return err
		}
		broken = r.Kept()
		fmt.Fprintf(w, "%-18s %5s times %s, %d allocs/op (promised %s, checked %s)\n",
			c.Name, figure(r.Work), c.Floor, r.Allocs, figure(c.Promise), figure(c.Slack))
		if broken == nil {
			return nil
		}
	}
	return broken
}

// Kept returns an [ErrBroken] unless the result is within its case's slack.
func (r Result) Kept() error {
	switch {
	case r.Slack > 0 && r.Work > r.Slack:
		return fmt.Errorf("%s takes %s times the work of %s, more than %s: %w", r.Name, figure(r.Work), r.Floor, figure(r.Slack), ErrBroken)
	case r.NoAllocs && r.Allocs > 0:
		return fmt.Errorf("%s allocates %d times, not once is promised: %w", r.Name, r.Allocs, ErrBroken)
	}
	return nil
}
