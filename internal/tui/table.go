package tui

import (
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// column is one column of the list.
type column struct {
	title string
	width int
	cell  func(k *keys.Key) (string, lipgloss.Style)
}

const columnGap = 2

// tableAndDetail is the main screen: the list, and the selected key beside or below it
// where there is room.
func (m *Model) tableAndDetail() []string {
	width, height := m.tableSize()
	table := block(m.tableView(width, height), width, height)
	paneWidth, paneHeight := m.paneSize()
	switch {
	case paneWidth == 0:
		return table
	case m.width >= besideFrom:
		pane := block(m.detailPane(paneWidth, paneHeight, 1), paneWidth, paneHeight)
		for i := range table {
			table[i] += m.theme.dim.Render(" │ ") + pane[i]
		}
		return table
	}
	rule := m.theme.dim.Render(strings.Repeat("─", m.width))
	return append(append(table, rule), m.detailPane(paneWidth, paneHeight, 2)...)
}

// tableSize is the room for the list, its heading included.
func (m *Model) tableSize() (width, height int) {
	paneWidth, paneHeight := m.paneSize()
	switch {
	case paneWidth == 0:
		return m.width, m.bodyHeight()
	case m.width >= besideFrom:
		return m.width - paneWidth - 3, m.bodyHeight()
	}
	return m.width, m.bodyHeight() - paneHeight - 1
}

// paneSize is the room for the selected key; nothing on a narrow screen, and while
// there is no key to show.
func (m *Model) paneSize() (width, height int) {
	switch {
	case m.width < belowFrom || len(m.list.all) == 0:
		return 0, 0
	case m.width >= besideFrom:
		return min(max(m.width/3, 42), 72), m.bodyHeight()
	}
	return m.width, min(9, m.bodyHeight()/2)
}

func (m *Model) tableRows() int {
	_, height := m.tableSize()
	return height - 1
}

// tableTop is the screen's row where the first key stands.
func (m *Model) tableTop() int { return len(m.topLines()) + 1 }

func (m *Model) tableView(width, height int) []string {
	if len(m.list.shown) == 0 {
		return m.emptyTable(width, height)
	}
	columns := m.columns(width)
	lines := []string{m.headLine(columns)}
	last := min(len(m.list.shown), m.list.top+height-1)
	for i := m.list.top; i < last; i++ {
		lines = append(lines, m.rowLine(columns, m.list.shown[i], i == m.list.at, width))
	}
	return lines
}

func (m *Model) headLine(columns []column) string {
	line := "  "
	for _, c := range columns {
		line += fit(c.title, c.width) + strings.Repeat(" ", columnGap)
	}
	return m.theme.head.Render(strings.TrimRight(line, " "))
}

// rowLine marks the selected row with a sign as well as with a colour.
func (m *Model) rowLine(columns []column, k *keys.Key, selected bool, width int) string {
	paint := func(text string, s lipgloss.Style) string {
		if selected {
			s = s.Background(m.theme.selected).Bold(true)
		}
		return s.Render(text)
	}
	mark := "  "
	if selected {
		mark = "▸ "
	}
	line := paint(mark, m.theme.accent)
	left := width - 2
	for _, c := range columns {
		text, style := c.cell(k)
		cell := fit(wording.Clean(text), c.width)
		if left -= c.width; left >= columnGap {
			cell += strings.Repeat(" ", columnGap)
			left -= columnGap
		}
		line += paint(cell, style)
	}
	return line + paint(strings.Repeat(" ", max(0, left)), m.theme.plain)
}

// emptyTable says why there is nothing to see, and what to do about it.
func (m *Model) emptyTable(width, height int) []string {
	var text, next string
	switch {
	case m.filter.active():
		text, next = "No key fits the filter", "esc clears it"
	case m.load.done.IsZero() && m.load.err == nil:
		text = "Reading keys…"
	case m.load.done.IsZero():
		text = "Nothing could be read yet"
	case m.may.refusal != "":
		text = "No keys yet"
	default:
		text, next = "No keys yet: press n", "to issue the first one"
	}
	lines := make([]string, max(0, height/2-1), height+2)
	return append(lines, centred(m.theme.bold.Render(text), width), centred(m.theme.dim.Render(next), width))
}

func centred(text string, width int) string {
	return strings.Repeat(" ", max(0, (width-lipgloss.Width(text))/2)) + text
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// when renders a moment in the user's time zone.
func (m *Model) when(t time.Time) string { return wording.When(t, m.now, m.opts.Zone) }
