package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/wording"
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
		lines := wrap(wording.Clean(r.text), max(20, width-margin-1))
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
	return wording.When(t, a.now(), time.Local)
}

// deadline is when, for an expiry that may be never.
func (a *app) deadline(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return a.when(t)
}
