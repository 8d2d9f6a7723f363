package tui

import (
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// column is one column of the list.
type column struct {
	title string
	width int
	cell  func(k *keys.Key) (string, lipgloss.Style)
}

const columnGap = 2

// tableAndDetail is the main screen: the list, and the selected key beside or below it if there
// is room.
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

// tableSize is the room for the list, including its heading.
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

// paneSize is the room for the selected key; zero on a narrow screen, and without a key.
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

// tableTop is the screen row of the first key.
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

// rowLine marks the selected row with a sign, not only with a colour.
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

// emptyTable says why the list is empty, and what to do.
func (m *Model) emptyTable(width, height int) []string {
	var text, next string
	switch {
	case m.filter.active():
		text, next = "No matching keys", "esc clears it"
	case m.load.done.IsZero() && m.load.err == nil:
		text = "Reading keys…"
	case m.load.done.IsZero():
		text = "No keys could be read yet"
	case m.may.refusal != "":
		text = "No keys yet"
	default:
		text, next = "No keys yet: press n", "to issue the first one"
	}
	return m.empty(text, next, width, height)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// when renders a time in the user's time zone.
func (m *Model) when(t time.Time) string { return wording.When(t, m.now, m.opts.Zone) }

// columns fits the list's columns to a width: names and scopes share what the fixed columns
// leave, and a narrow screen drops the last columns.
func (m *Model) columns(width int) []column {
	status := column{"STATUS", 10, func(k *keys.Key) (string, lipgloss.Style) {
		if m.list.tampered[k.ID] { // the row cannot be trusted
			return "! changed", m.theme.warn
		}
		s := k.Status(m.now)
		return wording.Status(s), m.theme.status(s)
	}}
	name := column{"NAME", 0, m.nameCell}
	owner := column{"OWNER", 0, func(k *keys.Key) (string, lipgloss.Style) { return orDash(k.Owner), m.textStyle(k) }}
	expires := column{"EXPIRES", 8, m.expiresCell}
	scopes := column{"SCOPES", 0, func(k *keys.Key) (string, lipgloss.Style) {
		return orDash(strings.Join(k.Scopes, " ")), m.theme.dim
	}}
	created := column{"CREATED", 8, func(k *keys.Key) (string, lipgloss.Style) {
		return wording.Relative(k.CreatedAt, m.now), m.theme.dim
	}}
	used := column{"LAST USED", 9, m.usedCell}
	id := column{"ID", keys.IDLen, func(k *keys.Key) (string, lipgloss.Style) { return k.ID, m.theme.dim }}

	columns := []column{status, name, owner, expires}
	if width >= 72 {
		columns = []column{status, name, owner, scopes, expires, used}
	}
	if width >= 92 {
		columns = append(columns, created)
	}
	if width >= 124 {
		columns = slices.Insert(columns, 1, id)
	}
	m.share(columns, width)
	return columns
}

// share gives names the width that they need, up to a limit, and scopes the rest. If the rest
// is too small, names and owners share the width.
func (m *Model) share(columns []column, width int) {
	left, scopes := width-2+columnGap, 0
	for _, c := range columns {
		left -= c.width + columnGap
	}
	if slices.ContainsFunc(columns, func(c column) bool { return c.title == "SCOPES" }) {
		scopes = max(10, left/4)
	}
	name, owner := min(m.list.nameWidth, 32), min(m.list.ownerWidth, 24)
	if over := name + owner + scopes - left; over > 0 {
		fromOwner := min(over/2, max(0, owner-8))
		owner -= fromOwner
		name = max(8, name-(over-fromOwner))
	}
	for i := range columns {
		switch columns[i].title {
		case "NAME":
			columns[i].width = name
		case "OWNER":
			columns[i].width = owner
		case "SCOPES":
			columns[i].width = left - name - owner
		}
	}
}

// textStyle dims keys that are no longer accepted.
func (m *Model) textStyle(k *keys.Key) lipgloss.Style {
	switch k.Status(m.now) {
	case keys.StatusActive, keys.StatusExpiring:
		return m.theme.plain
	}
	return m.theme.dim
}

func (m *Model) nameCell(k *keys.Key) (string, lipgloss.Style) {
	return nameText(k), m.textStyle(k)
}

// nameText marks admin keys.
func nameText(k *keys.Key) string {
	if k.Kind == keys.KindAdmin {
		return k.Name + " (admin)"
	}
	return k.Name
}

// usedCell says never only if that is known.
func (m *Model) usedCell(k *keys.Key) (string, lipgloss.Style) {
	l, used := m.list.used[k.ID]
	switch {
	case used:
		return wording.Relative(l.At, m.now), m.theme.dim
	case m.list.used == nil:
		return "?", m.theme.dim
	}
	return "never", m.theme.dim
}

func (m *Model) expiresCell(k *keys.Key) (string, lipgloss.Style) {
	switch {
	case k.Status(m.now) == keys.StatusRevoked:
		return "-", m.theme.dim
	case k.ExpiresAt.IsZero():
		return "never", m.theme.dim
	}
	style := m.theme.dim
	if k.Status(m.now) == keys.StatusExpiring {
		style = m.theme.warn
	}
	return wording.Relative(k.ExpiresAt, m.now), style
}
