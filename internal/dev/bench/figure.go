package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
)

// Figure is a row of the second table: what is measured by itself, beside no floor.
type Figure struct {
	Name, Unit string
	// Promise is the highest value that is promised; Slack is the one at which the check fails.
	Promise, Slack float64
	// Measure returns the value.
	Measure func(ctx context.Context) (float64, error)
}

// Figures returns the rows of the second table. Child starts this program again, with these
// arguments. How often a process wakes up is known on Linux only.
func (s *Stage) Figures(child Child) []Figure {
	all := []Figure{{Name: "HeapRememberedKey", Unit: "B", Promise: 900, Slack: 1000, Measure: s.heapRemembered}}
	if runtime.GOOS != "linux" {
		return all
	}
	return append(all,
		Figure{Name: "IdleWakeUps100Holds", Unit: "/s", Promise: 10, Slack: 30, Measure: func(ctx context.Context) (float64, error) {
			i, err := s.idle(ctx, child)
			return i.wakeUps, err
		}},
		Figure{Name: "IdleSwitches100Holds", Unit: "/s", Measure: func(ctx context.Context) (float64, error) {
			i, err := s.idle(ctx, child)
			return i.switches, err
		}},
	)
}

// PrintFigures measures the figures that are wanted by their names, and writes a line about each.
func PrintFigures(ctx context.Context, w io.Writer, figures []Figure, want func(name string) bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, f := range figures {
		if !want(f.Name) {
			continue
		}
		value, err := f.Measure(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		promise := ""
		if f.Promise > 0 {
			promise = "promised " + figure(f.Promise)
		}
		line(t, f.Name, figure(value), f.Unit, promise)
	}
	return t.Flush()
}

// CheckFigures returns [ErrBroken] for each wanted figure that was beyond its slack in three tries.
func CheckFigures(ctx context.Context, w io.Writer, figures []Figure, want func(name string) bool) error {
	var all []error
	for _, f := range figures {
		if f.Slack > 0 && want(f.Name) {
			all = append(all, f.check(ctx, w))
		}
	}
	return errors.Join(all...)
}

func (f Figure) check(ctx context.Context, w io.Writer) error {
	var value float64
	for range tries {
		var err error
		if value, err = f.Measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		fmt.Fprintf(w, "%-18s %5s %s (promised %s, checked %s)\n", f.Name, figure(value), f.Unit, figure(f.Promise), figure(f.Slack))
		if value <= f.Slack {
			return nil
		}
	}
	return fmt.Errorf("%s: %s %s, more than %s: %w", f.Name, figure(value), f.Unit, figure(f.Slack), ErrBroken)
}
