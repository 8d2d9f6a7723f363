package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
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
// arguments.
func (s *Stage) Figures(child Child) []Figure {
	return []Figure{
		{Name: "HeapRememberedKey", Unit: "B", Promise: 900, Slack: 1000, Measure: s.heapRemembered},
		{Name: "IdleWakeUps100Holds", Unit: "/s", Promise: 10, Slack: 30, Measure: func(ctx context.Context) (float64, error) { return s.idleWakeUps(ctx, child) }},
	}
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
		line(t, f.Name, figure(value), f.Unit, "promised", figure(f.Promise))
	}
	return t.Flush()
}

// CheckFigures returns [ErrBroken] for each wanted figure that was beyond its slack in three tries.
func CheckFigures(ctx context.Context, w io.Writer, figures []Figure, want func(name string) bool) error {
	var all []error
	for _, f := range figures {
		if want(f.Name) {
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
