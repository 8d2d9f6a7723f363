package main

import (
	"strconv"
	"strings"
	"time"
	"unicode"

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

// cells is how many columns text fills on a terminal.
func cells(text string) int {
	n := 0
	for _, r := range text {
		n += runeCells(r)
	}
	return n
}

func runeCells(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// wide holds the blocks that terminals draw two columns wide.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, // Hangul Jamo
		{Lo: 0x2e80, Hi: 0x303e, Stride: 1}, // CJK radicals and punctuation
		{Lo: 0x3041, Hi: 0xa4cf, Stride: 1}, // kana, CJK, Yi
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1}, // Hangul
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1}, // CJK compatibility
		{Lo: 0xfe30, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff00, Hi: 0xff60, Stride: 1}, // fullwidth forms
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1f300, Hi: 0x1faff, Stride: 1}, // pictographs
		{Lo: 0x20000, Hi: 0x3fffd, Stride: 1}, // CJK extensions
	},
}

// fit cuts text to width columns, with … where something was left out, and fills
// it up with spaces.
func fit(text string, width int) string {
	if cells(text) > width {
		text = cut(text, width-1) + "…"
	}
	return pad(text, width)
}

// pad fills text up to width columns with spaces.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-cells(text)))
}

// cut returns the longest beginning of text that fills at most width columns.
func cut(text string, width int) string {
	n := 0
	for i, r := range text {
		if n += runeCells(r); n > width {
			return text[:i]
		}
	}
	return text
}
