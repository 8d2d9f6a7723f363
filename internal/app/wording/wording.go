// Package wording turns values into text for people. keyctl's tables and the dashboard use it,
// so that both say the same.
//
// Pass every text from a store or a server through [Clean] before it reaches a terminal. The
// texts of [Status], [When], [Date], [Relative] and [Bytes] need no Clean.
//
// The package makes plain text without colour or layout, and reads no clock.
package wording

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Clean makes text safe for a terminal: one line, without control, invisible and bidirectional
// characters. mcpkeys does not store such texts, but a row may have been edited by hand.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// Glyph is a sign for a status, one column wide, so that a table can be read quickly without
// colour.
func Glyph(s keys.Status) string {
	switch s {
	case keys.StatusActive:
		return "●"
	case keys.StatusExpiring:
		return "◐"
	case keys.StatusExpired:
		return "○"
	case keys.StatusDisabled:
		return "◌"
	case keys.StatusRevoked:
		return "✗"
	}
	return "?"
}

// Status is the glyph and the word of a status.
func Status(s keys.Status) string { return Glyph(s) + " " + string(s) }

// Imported says that a secret was imported, and whether it is slow to check; it is empty for
// any other secret.
func Imported(s *keys.KeySecret) string {
	switch scheme := s.ImportedUnder(); {
	case scheme == "":
		return ""
	case scheme.Slow():
		return "imported (" + string(scheme) + ": slow until its first use, or always if it is short)"
	default:
		return "imported (" + Clean(string(scheme)) + ")"
	}
}

// When renders a moment in a time zone, and how far off it is.
func When(t, now time.Time, zone *time.Location) string {
	return Date(t, zone) + t.In(zone).Format(" MST (") + Relative(t, now) + ")"
}

// Date renders a moment in a time zone, to the minute.
func Date(t time.Time, zone *time.Location) string { return t.In(zone).Format("2006-01-02 15:04") }

// Relative is how far t is from now, in the largest unit that says enough: in 89d,
// 3h ago.
func Relative(t, now time.Time) string {
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

// roughly rounds to the largest unit of which there are at least two; seconds may be one.
func roughly(d time.Duration) string {
	const day = 24 * time.Hour
	for _, u := range []struct {
		length time.Duration
		suffix string
	}{{365 * day, "y"}, {day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		n := int((d + u.length/2) / u.length)
		if n >= 2 || n == 1 && u.length == time.Second {
			return strconv.Itoa(n) + u.suffix
		}
	}
	return ""
}

// Bytes is a size in the unit that says enough.
func Bytes(n int64) string {
	const unit = 1024
	if n < unit {
		return strconv.FormatInt(n, 10) + " B"
	}
	size, suffix := float64(n)/unit, "KiB"
	for _, next := range []string{"MiB", "GiB", "TiB"} {
		if size < unit {
			break
		}
		size, suffix = size/unit, next
	}
	return strconv.FormatFloat(size, 'f', 1, 64) + " " + suffix
}

// Sparkline draws numbers as bars in at most width columns; the highest has the full height. If
// there are more numbers than columns, each column is a sum. Zero is a dot, so that it differs
// from one.
func Sparkline(numbers []int64, width int) string {
	if len(numbers) == 0 || width < 1 {
		return ""
	}
	each := (len(numbers) + width - 1) / width
	bars := make([]float64, (len(numbers)+each-1)/each)
	highest := 0.0
	for i, n := range numbers {
		bar := &bars[len(bars)-1-(len(numbers)-1-i)/each] // the newest group is whole
		*bar += float64(max(0, n))
		highest = max(highest, *bar)
	}
	heights := []rune("▁▂▃▄▅▆▇█")
	line := make([]rune, len(bars))
	for i, bar := range bars {
		line[i] = '·'
		if bar > 0 {
			line[i] = heights[min(int(bar/highest*float64(len(heights))), len(heights)-1)]
		}
	}
	return string(line)
}

// Counted is a number with its noun: 1 key, 2 keys.
func Counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// Formula reports whether a spreadsheet would run a cell of CSV instead of showing it. Put an
// apostrophe before such a cell.
func Formula(cell string) bool {
	return cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0]))
}
