// Package wording says on a screen what the domain holds as values, in one way for
// every program that has a screen: keyctl's tables and the dashboard.
//
// Pass every text that came from a store or a server through [Clean] before it
// reaches a terminal; [Status], [When], [Date], [Relative] and [Bytes] make texts that need it no more.
//
// It makes plain text without colour or layout, decides nothing, and reads no clock.
package wording

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Clean makes text fit for a terminal: one line, without control, invisible and
// bidirectional characters. What mcpkeys stores was checked already; a row edited by
// hand was not.
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

// Glyph is one column wide and goes before the word of a status, so that a table can
// be skimmed without colour.
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

// Status is the glyph and the word.
func Status(s keys.Status) string { return Glyph(s) + " " + string(s) }

// Imported says of a secret that another system made it, and whether it is slow to check;
// empty for one of ours.
func Imported(s *keys.KeySecret) string {
	switch scheme := s.ImportedUnder(); {
	case scheme == "":
		return ""
	case scheme.Slow():
		return "imported (" + string(scheme) + ": slow until its first use, and after if it is short)"
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

// Sparkline draws numbers as bars of at most width columns, the highest at full
// height; more numbers than columns are added up, as many to each. Zero is a dot, so
// that one call is told from none.
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

// Counted is a number of things: 1 key, 2 keys.
func Counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// Formula reports whether a spreadsheet would run a cell of CSV rather than show it. Who
// writes CSV puts an apostrophe before such a cell.
func Formula(cell string) bool {
	return cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0]))
}
