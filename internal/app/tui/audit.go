package tui

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// maxAudit is how many rows of the audit log are shown; `keyctl audit` shows all.
const maxAudit = 1000

// auditScreen shows the newest rows of the audit log: which rows pass the filter, and which one
// is selected. The selection stays with its row.
type auditScreen struct {
	all   []auditRow // newest first
	shown []int      // indexes in all
	input textinput.Model
	from  room // where the user came from

	seq    int64 // of the selected row
	cursor       // among the shown rows

	reading bool
	round   int // counts readings; results of an older one are dropped
	whole   bool
	done    time.Time // when it was last read; zero before the first
	next    time.Time
	err     error
	scroll  int // on the screen of one row
}

// auditRow is a row with its cells, which the filter also searches.
type auditRow struct {
	event                           audit.Event
	action, key, id, actor, changed string
}

func newAuditRow(e audit.Event) auditRow {
	return auditRow{
		event: e, action: wording.Clean(wording.Action(e.Action)), key: wording.Clean(wording.KeyOf(&e)),
		id: wording.Clean(e.KeyID), actor: wording.Clean(e.Actor), changed: wording.Clean(wording.Change(&e)),
	}
}

func newAudit(t theme) auditScreen {
	return auditScreen{input: newFilterInput(t, "action, key, id, actor or what changed")}
}

// openAudit shows the log and reads it again.
func (m *Model) openAudit() tea.Cmd {
	m.audit.from = m.room
	m.room = roomAudit
	return m.readAudit(true)
}

// readAudit starts reading: the newest rows, or only the rows added since.
func (m *Model) readAudit(whole bool) tea.Cmd {
	a := &m.audit
	a.round++
	a.reading, a.whole = true, whole || len(a.all) == 0
	if a.whole {
		return auditPage(m.manager, a.round, audit.Query{Limit: keys.MaxLimit})
	}
	return auditPage(m.manager, a.round, audit.Query{OldestFirst: true, After: a.all[0].event.Seq, Limit: keys.MaxLimit})
}

// auditDue reports whether it is time to look for new rows.
func (m *Model) auditDue() bool {
	a := &m.audit
	return (m.room == roomAudit || m.room == roomAuditFilter) && !a.reading && !m.load.paused && !m.now.Before(a.next)
}

func (m *Model) onAudit(msg auditMsg) tea.Cmd {
	a := &m.audit
	if !a.reading || msg.round != a.round {
		return nil
	}
	if msg.err != nil {
		a.reading, a.err = false, msg.err
		a.next = m.now.Add(retryAtMost)
		return nil
	}
	var rows []auditRow
	for _, e := range msg.page.Events {
		rows = append(rows, newAuditRow(e))
	}
	switch {
	case !a.whole:
		slices.Reverse(rows)
		a.all = append(rows, a.all...)
	case msg.first:
		a.all = rows
	default:
		a.all = append(a.all, rows...)
	}
	if len(a.all) > maxAudit {
		a.all = a.all[:maxAudit]
	}
	a.err = nil
	a.sift()
	if msg.page.Next != 0 && (!a.whole || len(a.all) < maxAudit) {
		q := audit.Query{OldestFirst: !a.whole, After: msg.page.Next, Limit: keys.MaxLimit}
		return auditPage(m.manager, a.round, q)
	}
	a.reading, a.done, a.next = false, m.now, m.now.Add(refreshEvery)
	return nil
}

// sift shows the rows that pass the filter: a row must contain all of its words.
func (a *auditScreen) sift() {
	a.shown = nil
	words := strings.Fields(strings.ToLower(a.input.Value()))
	if keys.LooksLikeToken(a.input.Value()) {
		words = nil
	}
	for i := range a.all {
		if a.all[i].fits(words) {
			a.shown = append(a.shown, i)
		}
	}
	if at := slices.IndexFunc(a.shown, func(i int) bool { return a.all[i].event.Seq == a.seq }); at >= 0 {
		a.at = at
	}
	a.settle(len(a.shown))
}

func (r *auditRow) fits(words []string) bool {
	text := strings.ToLower(strings.Join([]string{r.action, r.key, r.id, r.actor, r.changed}, "\n"))
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// move selects row at, or the nearest one.
func (a *auditScreen) move(at int) {
	a.at = at
	a.settle(len(a.shown))
	if r := a.selected(); r != nil {
		a.seq = r.event.Seq
	}
	if a.at == 0 {
		a.seq = 0 // at the top, the selection stays at the top when rows are added
	}
}

func (a *auditScreen) selected() *auditRow {
	if a.at < len(a.shown) {
		return &a.all[a.shown[a.at]]
	}
	return nil
}

func (m *Model) keyAudit(msg tea.KeyPressMsg) tea.Cmd {
	a := &m.audit
	switch {
	case key.Matches(msg, m.bind.Filter):
		m.room = roomAuditFilter
		a.input.CursorEnd()
		return a.input.Focus()
	case key.Matches(msg, m.bind.Open):
		if r := a.selected(); r != nil {
			a.seq, a.scroll = r.event.Seq, 0
			m.room = roomAuditRow
		}
	case msg.Code == tea.KeyEscape && a.input.Value() != "":
		a.input.SetValue("")
		a.sift()
	case key.Matches(msg, m.bind.Back), key.Matches(msg, m.bind.Audit):
		m.room = a.from
	case key.Matches(msg, m.bind.Refresh):
		return m.readAudit(true)
	case key.Matches(msg, m.bind.Pause):
		m.load.paused = !m.load.paused
	case key.Matches(msg, m.bind.Help):
		m.openHelp()
	default:
		m.moveAudit(msg)
	}
	return nil
}

func (m *Model) moveAudit(msg tea.KeyPressMsg) {
	if at, ok := m.audit.moved(msg, &m.bind, len(m.audit.shown)); ok {
		m.audit.move(at)
	}
}

func (m *Model) keyAuditFilter(msg tea.KeyPressMsg) tea.Cmd {
	a := &m.audit
	switch {
	case key.Matches(msg, m.bind.Clear):
		a.input.SetValue("")
	case key.Matches(msg, m.bind.Keep):
		a.input.SetValue(withoutSecret(a.input.Value()))
	case movesInFilter(msg):
		m.moveAudit(msg)
		return nil
	default:
		return m.auditInput(msg)
	}
	a.input.Blur()
	mask(&a.input)
	m.room = roomAudit
	a.sift()
	return nil
}

// auditInput applies the filter after each letter.
func (m *Model) auditInput(msg tea.Msg) tea.Cmd {
	var cmd tea.Cmd
	m.audit.input, cmd = m.audit.input.Update(msg)
	mask(&m.audit.input)
	m.audit.sift()
	return cmd
}

func (m *Model) keyAuditRow(msg tea.KeyPressMsg) tea.Cmd {
	a := &m.audit
	switch {
	case key.Matches(msg, m.bind.Back):
		m.room = roomAudit
	case key.Matches(msg, m.bind.Up):
		a.scroll--
	case key.Matches(msg, m.bind.Down):
		a.scroll++
	case key.Matches(msg, m.bind.PageUp):
		a.scroll -= m.bodyHeight()
	case key.Matches(msg, m.bind.PageDown):
		a.scroll += m.bodyHeight()
	case key.Matches(msg, m.bind.First):
		a.scroll = 0
	}
	return nil
}

// refusal says why the log cannot be read, if trying again does not help; otherwise it is
// empty.
func (a *auditScreen) refusal() string {
	if errors.Is(a.err, keys.ErrDenied) {
		return "Your admin key cannot read the audit log: it lacks the scope audit:read"
	}
	return ""
}

// auditScreen renders the title, the column heads and the rows.
func (m *Model) auditScreen(width, height int) []string {
	a := &m.audit
	a.rows = max(1, height-2)
	a.settle(len(a.shown))
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
		right = m.theme.warn.Render("not read, r tries again ")
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

// auditColumns lays out the columns; WHAT CHANGED gets at least a third of the width.
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
		text, next = "No matching rows", "esc clears it"
	default:
		text, next = "No changes yet", "esc goes back"
	}
	return m.empty(text, next, width, height)
}

// auditRowScreen shows one row with its key before and after, scrolled if it is longer than the
// screen.
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
			mark = "›" // changes are marked without colour too
		}
		lines = append(lines, m.theme.dim.Render(fit(name, nameWidth))+style.Render(fit(at(before, i), half-2)+mark+" "+at(after, i)))
	}
	return lines
}
