package tui

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// View implements [tea.Model].
func (m *Model) View() tea.View {
	v := tea.NewView(m.screen())
	v.AltScreen = true // nothing stays in the scrollback
	v.WindowTitle = "mcpkeys"
	v.MouseMode = m.mouseMode()
	return v
}

func (m *Model) tooSmall() bool { return m.width < minWidth || m.height < minHeight }

func (m *Model) screen() string {
	switch {
	case m.width <= 0 || m.height <= 0:
		return ""
	case m.tooSmall():
		return m.smallCard()
	case m.room == roomForm:
		return m.page(m.formView(m.width, m.bodyHeight()))
	case m.room == roomSecret:
		return m.page(m.secretView(m.width, m.bodyHeight()))
	case m.room == roomDialog:
		return overlay(m.page(m.behindDialog()), m.dialogBox(), m.width, m.height-1)
	case m.room == roomAudit || m.room == roomAuditFilter:
		return m.page(m.auditScreen(m.width, m.bodyHeight()))
	case m.room == roomAuditRow:
		return m.page(m.auditRowScreen(m.width, m.bodyHeight()))
	case m.room == roomHelp && m.help.from == roomAudit:
		return overlay(m.page(m.auditScreen(m.width, m.bodyHeight())), m.helpBox(), m.width, m.height-1)
	case m.room == roomHelp:
		return overlay(m.page(m.tableAndDetail()), m.helpBox(), m.width, m.height-1)
	case m.room == roomDetail:
		return m.page(m.detailScreen(m.width, m.bodyHeight()))
	}
	return m.page(m.tableAndDetail())
}

// behindDialog is the screen that the dialog covers.
func (m *Model) behindDialog() []string {
	if m.dialog.deed.back == roomForm {
		return m.formView(m.width, m.bodyHeight())
	}
	return m.tableAndDetail()
}

// page is the frame of every screen: the store at the top, a status line and the key help at
// the bottom.
func (m *Model) page(body []string) string {
	lines := m.topLines()
	lines = append(lines, block(body, m.width, m.bodyHeight())...)
	lines = append(lines, fit(m.statusLine(), m.width), fit(m.helpLine(), m.width))
	return strings.Join(lines, "\n")
}

// bodyHeight is the height between top and bottom lines.
func (m *Model) bodyHeight() int { return max(0, m.height-len(m.topLines())-2) }

func (m *Model) topLines() []string {
	left := " " + m.theme.accent.Bold(true).Render("mcpkeys")
	if m.opts.Store != "" {
		left += "  " + wording.Clean(m.opts.Store)
	}
	if m.may.refusal != "" {
		left += "  " + m.theme.warn.Render("read-only")
	}
	lines := []string{ends(left, m.freshness()+" ", m.width)}
	if m.load.err != nil {
		lines = append(lines, m.banner()...)
	}
	return lines
}

// maxBanner is the most rows of an error, so that the list keeps some.
const maxBanner = 4

// banner says why the list is out of date and when the next try is, on one line if it fits.
func (m *Model) banner() []string {
	again := "r tries again"
	if wait := m.load.next.Sub(m.now); !m.load.paused && wait > 0 {
		again = fmt.Sprintf("next try in %s, r tries now", wait.Round(time.Second))
	}
	if m.load.reading {
		again = "trying again"
	}
	why := " ✗ " + wording.Clean(m.load.err.Error())
	if room := m.width - len(again) - 3; ansi.StringWidth(why) <= room {
		return []string{fit(m.theme.banner.Render(why)+m.theme.dim.Render(" · "+again), m.width)}
	}
	var lines []string
	for line := range strings.SplitSeq(ansi.Wrap(strings.TrimSpace(why), m.width-3, ""), "\n") { // shown whole, because the end says what to do
		if len(lines) > 0 {
			line = "  " + line // below the first line's words
		}
		if len(lines) < maxBanner {
			lines = append(lines, m.theme.banner.Render(fit(" "+line, m.width)))
		}
	}
	return append(lines, m.theme.dim.Render(fit("   "+again, m.width)))
}

// freshness says how many keys there are and how old the list is.
func (m *Model) freshness() string {
	l := &m.load
	if l.done.IsZero() {
		if l.err != nil {
			return m.theme.warn.Render("not read yet")
		}
		return m.theme.dim.Render(fmt.Sprintf("reading keys… %d", len(m.list.all)))
	}
	text := count(len(m.list.all), "key")
	if l.cut {
		text = fmt.Sprintf("newest %d keys", len(m.list.all))
	}
	if expiring := m.expiring(); expiring > 0 {
		text += m.theme.plain.Render(" · ") + m.theme.warn.Render(fmt.Sprintf("%d expiring", expiring))
	}
	age := fit("updated "+ago(m.now.Sub(l.done)), len("updated 10s ago")) // a fixed width, so that the line does not jump
	if l.paused {
		return text + " · " + m.theme.warn.Render("paused") + m.theme.dim.Render(" · "+age)
	}
	return text + m.theme.dim.Render(" · "+age)
}

func ago(d time.Duration) string {
	if d < time.Second {
		return "now"
	}
	return wording.Relative(time.Time{}, time.Time{}.Add(d))
}

func (m *Model) expiring() int {
	n := 0
	for _, k := range m.list.all {
		if k.Status(m.now) == keys.StatusExpiring {
			n++
		}
	}
	return n
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// statusLine shows the filter while there is one, otherwise the last message.
func (m *Model) statusLine() string {
	if waiting := m.waitingText(); waiting != "" {
		return " " + m.theme.warn.Bold(true).Render(waiting)
	}
	switch {
	case m.room == roomFilter:
		return ends(" "+m.filter.input.View(), m.theme.dim.Render(m.matches()+" "), m.width)
	case m.room == roomAuditFilter:
		return ends(" "+m.audit.input.View(), m.theme.dim.Render(m.auditMatches()+" "), m.width)
	case m.room == roomAudit && m.audit.input.Value() != "":
		return ends(" "+m.theme.accent.Render("/"+m.audit.input.Value()), m.theme.dim.Render(m.auditMatches()+", esc clears "), m.width)
	case m.filter.active() && (m.room == roomTable || m.room == roomDetail):
		left := m.theme.accent.Render("/" + m.filter.input.Value())
		if m.toast.text != "" {
			left = m.theme.accent.Render(m.toast.text)
		}
		return ends(" "+left, m.theme.dim.Render(m.matches()+", esc clears "), m.width)
	}
	return " " + m.theme.accent.Render(m.toast.text)
}

func (m *Model) matches() string {
	if keys.LooksLikeToken(m.filter.input.Value()) {
		return "looks like a secret: enter searches for its id, esc clears it"
	}
	return fmt.Sprintf("%d of %d", len(m.list.shown), len(m.list.all))
}

func (m *Model) auditMatches() string {
	if keys.LooksLikeToken(m.audit.input.Value()) {
		return "looks like a secret: enter searches for its id, esc clears it"
	}
	return fmt.Sprintf("%d of %d", len(m.audit.shown), len(m.audit.all))
}

// smallCard asks for a larger window. A secret on the screen is not lost.
func (m *Model) smallCard() string {
	lines := []string{
		"the window is too small",
		fmt.Sprintf("%dx%d, needs %dx%d", m.width, m.height, minWidth, minHeight),
		"ctrl+c quits",
	}
	if m.room == roomSecret {
		lines = []string{"enlarge the window", "to see the new secret;", "c copies it"}
	}
	top := max(0, (m.height-len(lines))/2)
	out := make([]string, top, top+len(lines))
	for _, line := range lines {
		out = append(out, strings.Repeat(" ", max(0, (m.width-len(line))/2))+line)
	}
	return strings.Join(block(out, m.width, m.height), "\n")
}

// toast is a message that disappears after toastTime.
type toast struct {
	text  string
	until time.Time
}

const (
	toastTime = 4 * time.Second
	errorTime = 15 * time.Second // of an error without a dialog
)

func (t *toast) show(now time.Time, text string) { *t = toast{text: text, until: now.Add(toastTime)} }

func (t *toast) expire(now time.Time) {
	if !now.Before(t.until) {
		*t = toast{}
	}
}
