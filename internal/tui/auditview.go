package tui

import (
	"fmt"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/mcpkeys/mcpkeys/internal/wording"
)

// auditScreen is the log's rows, under what they are.
func (m *Model) auditScreen(width, height int) []string {
	a := &m.audit
	a.rows = max(1, height-2)
	a.clamp()
	lines := []string{m.auditTitle(width)}
	if len(a.shown) == 0 {
		return append(lines, m.emptyAudit(width, height-1)...)
	}
	columns := m.auditColumns(width)
	lines = append(lines, m.theme.head.Render("  "+strings.TrimRight(cellsOf(columns, func(c auditColumn) string { return c.title }), " ")))
	last := min(len(a.shown), a.top+a.rows)
	for i := a.top; i < last; i++ {
		r := &a.all[a.shown[i]]
		mark, style := "  ", m.theme.plain
		if i == a.at {
			mark, style = "▸ ", m.theme.plain.Background(m.theme.selected).Bold(true)
		}
		lines = append(lines, style.Render(fit(mark+cellsOf(columns, func(c auditColumn) string { return c.cell(r) }), width)))
	}
	return lines
}

func (m *Model) auditTitle(width int) string {
	a := &m.audit
	left := " " + m.theme.bold.Render("Audit log") + m.theme.dim.Render(", newest first")
	var right string
	switch {
	case a.err != nil:
		right = m.theme.warn.Render("not read: r tries again ")
	case a.done.IsZero():
		right = m.theme.dim.Render("reading… ")
	case len(a.all) >= maxAudit:
		right = m.theme.dim.Render(fmt.Sprintf("the newest %d rows; keyctl audit shows all ", maxAudit))
	default:
		right = m.theme.dim.Render(count(len(a.all), "row") + " ")
	}
	return ends(left, right, width)
}

type auditColumn struct {
	title string
	width int
	cell  func(*auditRow) string
}

func cellsOf(columns []auditColumn, text func(auditColumn) string) string {
	var b strings.Builder
	for i, c := range columns {
		if i > 0 {
			b.WriteString(strings.Repeat(" ", columnGap))
		}
		b.WriteString(fit(text(c), c.width))
	}
	return b.String()
}

// auditColumns gives what changed at least a third of the width.
func (m *Model) auditColumns(width int) []auditColumn {
	columns := []auditColumn{
		{"TIME", 16, func(r *auditRow) string { return wording.Date(r.event.At, m.opts.Zone) }},
		{"ACTION", 7, func(r *auditRow) string { return r.action }},
		{"KEY", max(10, width/6), func(r *auditRow) string { return r.key }},
	}
	if width >= 110 {
		columns = append(columns, auditColumn{"ID", 12, func(r *auditRow) string { return orDash(r.id) }})
	}
	if width >= 76 {
		columns = append(columns, auditColumn{"ACTOR", max(12, width/7), func(r *auditRow) string { return r.actor }})
	}
	left := width - 2
	for _, c := range columns {
		left -= c.width + columnGap
	}
	return append(columns, auditColumn{"WHAT CHANGED", max(8, left), func(r *auditRow) string { return r.changed }})
}

func (m *Model) emptyAudit(width, height int) []string {
	a := &m.audit
	var text, next string
	switch {
	case a.refusal() != "":
		text, next = a.refusal(), "esc goes back"
	case a.err != nil:
		text, next = wording.Clean(a.err.Error()), "r tries again, esc goes back"
	case a.done.IsZero():
		text = "Reading the audit log…"
	case a.input.Value() != "":
		text, next = "No row fits the filter", "esc clears it"
	default:
		text, next = "Nothing was changed yet", "esc goes back"
	}
	lines := make([]string, max(0, height/2-1), height+2)
	for _, line := range wrap(text, width-4) {
		lines = append(lines, centred(m.theme.bold.Render(line), width))
	}
	return append(lines, centred(m.theme.dim.Render(next), width))
}

// auditRowScreen is one row with both states of its key, scrolled where it is longer than
// the screen.
func (m *Model) auditRowScreen(width, height int) []string {
	a := &m.audit
	at := slices.IndexFunc(a.all, func(r auditRow) bool { return r.event.Seq == a.seq })
	if at < 0 {
		return []string{"", centred(m.theme.dim.Render("This row is no longer among the newest; esc goes back"), width)}
	}
	lines := append([]string{""}, m.auditRowLines(&a.all[at], width-4)...)
	a.scroll = max(0, min(a.scroll, len(lines)-height))
	lines = lines[a.scroll:]
	if len(lines) > height {
		lines = append(slices.Clone(lines[:height-1]), m.theme.dim.Render("… ↓ shows more"))
	}
	return indent(lines, 2)
}

func (m *Model) auditRowLines(r *auditRow, width int) []string {
	t, e := m.theme, &r.event
	lines := []string{t.bold.Render(fit(r.action+" "+r.key, width))}
	lines = append(lines, m.fieldLines([]field{
		{"row", fmt.Sprint(e.Seq), t.plain},
		{"at", m.when(e.At), t.plain},
		{"by", e.Actor, t.plain},
		{"key id", orDash(e.KeyID), t.plain},
		{"request", e.RequestID, t.plain},
	}, width)...)
	lines = append(lines, "", t.head.Render(fit("", nameWidth)+fit("BEFORE", (width-nameWidth)/2)+"AFTER"))
	half := (width - nameWidth) / 2
	for _, one := range wording.Members(e) {
		style := t.dim
		if one.Changed {
			style = t.plain
		}
		lines = append(lines, m.besides(one, half, style)...)
	}
	return lines
}

// besides puts both states of a member next to each other.
func (m *Model) besides(one wording.Member, half int, style lipgloss.Style) []string {
	before, after := wrap(wording.Clean(one.Before), half-2), wrap(wording.Clean(one.After), half-2)
	var lines []string
	for i := range max(len(before), len(after)) {
		name := ""
		if i == 0 {
			name = wording.Clean(one.Name)
		}
		mark := " "
		if one.Changed {
			mark = "›" // what changed is told without colour too
		}
		lines = append(lines, m.theme.dim.Render(fit(name, nameWidth))+style.Render(fit(at(before, i), half-2)+mark+" "+at(after, i)))
	}
	return lines
}
