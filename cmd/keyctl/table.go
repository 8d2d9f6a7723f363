package main

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
)

// table prints a list for people: a heading, and a line for each row. A column is as wide as
// its widest text. If the lines are wider than the screen, columns shrink or are left out,
// as the table says.
type table struct {
	columns []column
	rows    [][]string

	indent int    // before each line
	rest   int    // this column gets the room that the others leave, if share is set
	share  int    // rest gets 1/share of the screen, if others can shrink for it
	least  int    // rest is not narrower than this
	drop   bool   // rest is left out if it would be narrower
	gives  []give // these shrink to make room for rest, in turn
	drops  []int  // these are left out, in turn, if a line is still too long
	last   give   // this one shrinks after that
	cut    bool   // instead of all that, a line is cut at its right end
}

// column is one column of a table.
type column struct {
	heading string
	right   bool                            // it holds numbers
	ifAny   bool                            // it is left out when it is empty in every row
	most    int                             // its greatest width on a screen; 0: as wide as its texts
	within  func(row int, width int) string // shortens a text to width; nil cuts it
}

// give is a column that may shrink to the width least.
type give struct {
	column, least int
	below         int // only on screens narrower than this; 0: on any
}

// gap is the space between two columns.
const gap = 2

// add adds a row. Control characters are taken out of its texts.
func (t *table) add(texts ...string) {
	row := make([]string, len(t.columns))
	for i, text := range texts {
		row[i] = wording.Clean(text)
	}
	t.rows = append(t.rows, row)
}

// text lays the table out, with its heading.
func (t *table) text(screen int) string {
	widths := t.widths(screen)
	return t.heading(widths) + t.lines(widths, screen)
}

// widths returns the width of each column; 0 leaves it out.
func (t *table) widths(screen int) []int {
	widths := make([]int, len(t.columns))
	for col, c := range t.columns {
		for _, row := range t.rows {
			widths[col] = max(widths[col], cells(row[col]))
		}
		if widths[col] > 0 || !c.ifAny {
			widths[col] = max(widths[col], cells(c.heading))
		}
		if c.most > 0 && screen < unlimited {
			widths[col] = min(widths[col], c.most)
		}
	}
	switch {
	case t.cut:
		cutRight(widths, screen)
	case t.share > 0:
		t.fitRest(widths, screen)
	}
	for _, col := range t.drops {
		if t.filled(widths) > screen {
			widths[col] = 0
		}
	}
	if t.last.least > 0 {
		shrink(&widths[t.last.column], t.last.least, t.filled(widths)-screen)
	}
	return widths
}

// fitRest shrinks the columns of gives, and then gives rest the room that is left.
func (t *table) fitRest(widths []int, screen int) {
	natural := widths[t.rest]
	left := func() int {
		n := screen - t.indent
		for col, w := range widths {
			if w > 0 && col != t.rest {
				n -= w + gap
			}
		}
		return n
	}
	share := min(natural, screen/t.share)
	for _, g := range t.gives {
		if g.below == 0 || screen < g.below {
			shrink(&widths[g.column], g.least, share-left())
		}
	}
	if t.drop && left() < min(t.least, share) {
		widths[t.rest] = 0
		return
	}
	widths[t.rest] = min(natural, max(left(), t.least))
}

// cutRight leaves out the columns that do not fit, and cuts the last one that does.
func cutRight(widths []int, left int) {
	for col := range widths {
		if left < 4 {
			widths[col] = 0
			continue
		}
		widths[col] = min(widths[col], left)
		left -= widths[col] + gap
	}
}

// filled is how many columns of the screen a line takes.
func (t *table) filled(widths []int) int {
	n := t.indent - gap
	for _, w := range widths {
		if w > 0 {
			n += w + gap
		}
	}
	return n
}

// shrink takes up to by off width, but not below least.
func shrink(width *int, least, by int) {
	if by > 0 {
		*width = max(min(*width, least), *width-by)
	}
}

func (t *table) heading(widths []int) string {
	texts := make([]string, len(t.columns))
	for col, c := range t.columns {
		texts[col] = c.heading
	}
	return t.line(texts, widths, fit)
}

// lines lays out the rows. On an unlimited screen nothing is cut, not even a text that is
// wider than its column.
func (t *table) lines(widths []int, screen int) string {
	lay := fit
	if screen == unlimited {
		lay = pad
	}
	var b strings.Builder
	for i, row := range t.rows {
		for col, c := range t.columns {
			if c.within != nil && widths[col] > 0 {
				row[col] = c.within(i, widths[col])
			}
		}
		b.WriteString(t.line(row, widths, lay))
	}
	return b.String()
}

func (t *table) line(texts []string, widths []int, lay func(string, int) string) string {
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", t.indent))
	for col, text := range texts {
		switch {
		case widths[col] == 0:
			continue
		case t.columns[col].right:
			text = strings.Repeat(" ", max(0, widths[col]-cells(text))) + text
		default:
			text = lay(text, widths[col])
		}
		b.WriteString(text + strings.Repeat(" ", gap))
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

// row is one line of an aligned page: a name and its text.
type row struct{ name, text string }

// aligned lays out rows in two columns.
func aligned(rows []row, width int) string {
	names := 0
	for _, r := range rows {
		names = max(names, len(r.name))
	}
	var b strings.Builder
	for _, r := range rows {
		for _, line := range hanging("  "+fit(r.name, names)+"  ", wording.Clean(r.text), width) {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// hanging puts text after first, and breaks it at spaces. Further lines are indented to the
// start of text.
func hanging(first, text string, width int) []string {
	margin := cells(first)
	lines := wrap(text, max(20, width-margin-1))
	for i := range lines {
		if i == 0 {
			lines[i] = first + lines[i]
			continue
		}
		lines[i] = strings.Repeat(" ", margin) + lines[i]
	}
	return lines
}

// folded breaks text at spaces into lines that leave the screen's last column free.
func folded(text string, width int) string {
	return strings.Join(wrap(text, width-1), "\n") + "\n"
}

// wrap breaks text at spaces into lines of at most width columns. A longer word is not
// broken, so that an id or a scope can be copied.
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

// words joins a list with spaces; an empty one becomes none.
func words(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return strings.Join(list, " ")
}

func itoa(n int) string { return strconv.Itoa(n) }

// when renders a moment in the local time zone, and how far off it is.
func (a *app) when(t time.Time) string {
	return wording.When(t, a.now(), time.Local)
}

// deadline is when for an expiry; the zero time is never.
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

// fit cuts text to width columns, ending with … if it was cut, or fills it with spaces.
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

// cut returns the longest prefix of text that fills at most width columns.
func cut(text string, width int) string {
	n := 0
	for i, r := range text {
		if n += runeCells(r); n > width {
			return text[:i]
		}
	}
	return text
}
