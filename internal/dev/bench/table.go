package bench

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// MeasureAll measures the cases that are wanted by their names, in their order, each
// with its floor.
func MeasureAll(cases []Case, want func(name string) bool, e Effort) ([]Result, error) {
	var all []Result
	for _, c := range cases {
		if !want(c.Name) {
			continue
		}
		r, err := Measure(c, find(cases, c.Floor), e)
		if err != nil {
			return all, err
		}
		all = append(all, r)
	}
	return all, nil
}

// find returns nil when there is none of the name.
func find(cases []Case, name string) *Case {
	i := slices.IndexFunc(cases, func(c Case) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &cases[i]
}

// Print writes the table.
func Print(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	line(t, "name", "ns/op", "allocs/op", "ratio", "to", "promised")
	for _, r := range results {
		ratio, promise := "", ""
		if r.Ratio > 0 {
			ratio = figure(r.Ratio)
		}
		if r.Promise > 0 {
			promise = figure(r.Promise)
		}
		line(t, r.Name, figure(r.Nanoseconds), strconv.FormatUint(r.Allocs, 10), ratio, r.Floor, promise)
	}
	return t.Flush()
}

func line(w io.Writer, cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")+"\t") }

// figure writes three digits that say something.
func figure(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}
