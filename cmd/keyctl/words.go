package main

import (
	"strconv"
	"strings"
	"time"
)

// row is one line of an aligned page: a name and what it is.
type row struct{ name, text string }

// aligned lays out rows in two columns. A text that does not fit breaks at spaces,
// and goes on below itself.
func aligned(rows []row, width int) string {
	names := 0
	for _, r := range rows {
		names = max(names, len(r.name))
	}
	margin := 2 + names + 2
	var b strings.Builder
	for _, r := range rows {
		lines := wrap(clean(r.text), max(20, width-margin-1))
		for i, line := range lines {
			if i == 0 {
				b.WriteString("  " + fit(r.name, names) + "  " + line + "\n")
				continue
			}
			b.WriteString(strings.Repeat(" ", margin) + line + "\n")
		}
	}
	return b.String()
}

// wrap breaks text at spaces into lines of at most width columns. A word that is
// longer stays whole: half an id or scope would be copied as if it were one.
func wrap(text string, width int) []string {
	lines := []string{""}
	for word := range strings.SplitSeq(text, " ") {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case cells(*last)+1+cells(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// words joins a list, or says what it means that there is none.
func words(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return strings.Join(list, " ")
}

func itoa(n int) string { return strconv.Itoa(n) }

// when renders a moment for people: in their time zone, and how far off it is.
func (a *app) when(t time.Time) string {
	return t.Local().Format("2006-01-02 15:04 MST") + " (" + relative(t, a.now()) + ")"
}

// deadline is when, for an expiry that may be never.
func (a *app) deadline(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return a.when(t)
}

// relative is how far t is from now, in the largest unit that says enough: in 89d,
// 3h ago.
func relative(t, now time.Time) string {
	d := t.Sub(now)
	text := roughly(d.Abs())
	switch {
	case text == "":
		return "now"
	case d < 0:
		return text + " ago"
	}
	return "in " + text
}

// roughly rounds to the nearest whole unit, of which there are at least two unless
// it is the smallest.
func roughly(d time.Duration) string {
	const day = 24 * time.Hour
	for _, u := range []struct {
		length time.Duration
		suffix string
	}{{365 * day, "y"}, {day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		n := int((d + u.length/2) / u.length)
		if n >= 2 || n == 1 && u.length == time.Second {
			return itoa(n) + u.suffix
		}
	}
	return ""
}
