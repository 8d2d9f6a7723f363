package tui

import (
	"errors"
	"slices"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// maxAudit is how many rows of the audit log are shown; beyond that `keyctl audit` is the
// tool.
const maxAudit = 1000

// audit is the screen of who changed what: the newest rows of the log, which of them the
// filter shows, and which one is selected. The selection stays with its row.
type audit struct {
	all   []auditRow // newest first
	shown []int      // places in all
	input textinput.Model
	from  room // where the user came from

	seq  int64 // of the selected row
	at   int
	top  int
	rows int // as many as there is room for

	reading bool
	round   int // counts readings; what an older one brings is dropped
	whole   bool
	done    time.Time // when it was last read; zero before the first
	next    time.Time
	err     error
	scroll  int // of one row on the whole screen
}

// auditRow is a row with its cells, which the filter searches too.
type auditRow struct {
	event                           keys.Event
	action, key, id, actor, changed string
}

func newAuditRow(e keys.Event) auditRow {
	return auditRow{
		event: e, action: wording.Clean(wording.Action(e.Action)), key: wording.Clean(wording.KeyOf(&e)),
		id: wording.Clean(e.KeyID), actor: wording.Clean(e.Actor), changed: wording.Clean(wording.Change(&e)),
	}
}

func newAudit(t theme) audit {
	input := textinput.New()
	input.Prompt = "/"
	input.CharLimit = keys.MaxText
	input.Placeholder = "action, key, id, actor or what changed"
	a := audit{input: input}
	a.input.SetStyles(t.input())
	return a
}

// openAudit shows the log, and reads it anew.
func (m *Model) openAudit() tea.Cmd {
	m.audit.from = m.room
	m.room = roomAudit
	return m.readAudit(true)
}

// readAudit begins a reading: of the newest rows, or of those that came since.
func (m *Model) readAudit(whole bool) tea.Cmd {
	a := &m.audit
	a.round++
	a.reading, a.whole = true, whole || len(a.all) == 0
	if a.whole {
		return auditPage(m.manager, a.round, keys.AuditQuery{Limit: keys.MaxLimit})
	}
	return auditPage(m.manager, a.round, keys.AuditQuery{OldestFirst: true, After: a.all[0].event.Seq, Limit: keys.MaxLimit})
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
		q := keys.AuditQuery{OldestFirst: !a.whole, After: msg.page.Next, Limit: keys.MaxLimit}
		return auditPage(m.manager, a.round, q)
	}
	a.reading, a.done, a.next = false, m.now, m.now.Add(refreshEvery)
	return nil
}

// sift shows what fits the filter: all of its words must stand somewhere in the row.
func (a *audit) sift() {
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
	a.clamp()
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

func (a *audit) clamp() {
	a.at = max(0, min(a.at, len(a.shown)-1))
	rows := max(1, a.rows)
	a.top = min(a.top, a.at)
	a.top = max(a.top, a.at-rows+1)
	a.top = max(0, min(a.top, len(a.shown)-rows))
}

// move selects a row, or the nearest there is.
func (a *audit) move(at int) {
	a.at = at
	a.clamp()
	if r := a.selected(); r != nil {
		a.seq = r.event.Seq
	}
	if a.at == 0 {
		a.seq = 0 // at the top one stays at the top, whatever comes
	}
}

func (a *audit) selected() *auditRow {
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
	a := &m.audit
	switch {
	case msg.Code == tea.KeyUp, key.Matches(msg, m.bind.Up):
		a.move(a.at - 1)
	case msg.Code == tea.KeyDown, key.Matches(msg, m.bind.Down):
		a.move(a.at + 1)
	case msg.Code == tea.KeyPgUp, key.Matches(msg, m.bind.PageUp):
		a.move(a.at - a.rows)
	case msg.Code == tea.KeyPgDown, key.Matches(msg, m.bind.PageDown):
		a.move(a.at + a.rows)
	case key.Matches(msg, m.bind.First):
		a.move(0)
	case key.Matches(msg, m.bind.Last):
		a.move(len(a.shown) - 1)
	}
}

func (m *Model) keyAuditFilter(msg tea.KeyPressMsg) tea.Cmd {
	a := &m.audit
	switch {
	case key.Matches(msg, m.bind.Clear):
		a.input.SetValue("")
	case key.Matches(msg, m.bind.Keep):
		a.input.SetValue(withoutSecret(a.input.Value()))
	case msg.Code == tea.KeyUp || msg.Code == tea.KeyDown || msg.Code == tea.KeyPgUp || msg.Code == tea.KeyPgDown:
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

// auditInput filters with every letter.
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

// refusal says why there is nothing to read, where that is for good.
func (a *audit) refusal() string {
	if errors.Is(a.err, keys.ErrDenied) {
		return "Your admin key may not read the audit log: it lacks audit:read"
	}
	return ""
}
