package tui

import (
	"strings"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// revocation is the dialog that ends a key. No is what enter means until the user
// says otherwise.
type revocation struct {
	key    *keys.Key
	reason textinput.Model
	focus  choice
	err    error
	busy   bool
}

// choice is a place in the dialog.
type choice int

const (
	chooseNo choice = iota
	chooseYes
	chooseReason
	choices
)

func (r *revocation) setTheme(t theme) { r.reason.SetStyles(t.input()) }

// openRevoke asks about the selected key. One that is revoked already stays so.
func (m *Model) openRevoke() {
	k := m.list.selected()
	switch {
	case k == nil:
		return
	case k.Status(m.now) == keys.StatusRevoked:
		m.toast.show(m.now, wording.Clean(k.Label())+" was revoked "+wording.Relative(k.RevokedAt, m.now)+"; nothing to do")
		return
	}
	input := textinput.New()
	input.Prompt = ""
	input.Placeholder = "for the audit log; may stay empty"
	input.CharLimit = keys.MaxText
	m.revoke = revocation{key: k, reason: input}
	m.revoke.setTheme(m.theme)
	m.room = roomRevoke
}

func (m *Model) closeRevoke() {
	m.revoke = revocation{}
	m.room = roomTable
}

func (m *Model) keyRevoke(msg tea.KeyPressMsg) tea.Cmd {
	r := &m.revoke
	switch {
	case r.busy:
		return nil
	case msg.Code == tea.KeyEscape:
		m.closeRevoke()
		return nil
	case r.focus == chooseReason:
		return m.keyReason(msg)
	case key.Matches(msg, m.bind.Yes):
		return m.confirmRevoke()
	case key.Matches(msg, m.bind.No):
		m.closeRevoke()
	case key.Matches(msg, m.bind.Reason):
		return m.focusRevoke(chooseReason)
	case key.Matches(msg, m.bind.Choose) && r.focus == chooseYes:
		return m.confirmRevoke()
	case key.Matches(msg, m.bind.Choose):
		m.closeRevoke()
	case msg.Code == tea.KeyLeft || msg.Code == tea.KeyRight:
		return m.focusRevoke(chooseYes - r.focus)
	case key.Matches(msg, m.bind.Other):
		return m.focusRevoke((r.focus + 1) % choices)
	}
	return nil
}

// keyReason types the reason; enter and tab go back to the question.
func (m *Model) keyReason(msg tea.KeyPressMsg) tea.Cmd {
	if msg.Code == tea.KeyEnter || msg.Code == tea.KeyTab {
		return m.focusRevoke(chooseNo)
	}
	return m.reasonInput(msg)
}

func (m *Model) reasonInput(msg tea.Msg) tea.Cmd {
	r := &m.revoke
	if r.focus != chooseReason || r.busy {
		return nil
	}
	var cmd tea.Cmd
	r.reason, cmd = r.reason.Update(msg)
	mask(&r.reason)
	r.err = keys.ValidateText("reason", r.reason.Value())
	return cmd
}

func (m *Model) focusRevoke(to choice) tea.Cmd {
	m.revoke.focus = to
	if to == chooseReason {
		return m.revoke.reason.Focus()
	}
	m.revoke.reason.Blur()
	return nil
}

func (m *Model) confirmRevoke() tea.Cmd {
	r := &m.revoke
	if r.err = keys.ValidateText("reason", r.reason.Value()); r.err != nil {
		return m.focusRevoke(chooseReason)
	}
	r.busy = true
	return revokeKey(m.manager, r.key.ID, r.reason.Value())
}

// onRevoked shows the key as it now stands. When it did not work the dialog stays, and
// y tries again.
func (m *Model) onRevoked(msg revokedMsg) tea.Cmd {
	if msg.err != nil {
		m.revoke.busy, m.revoke.err = false, msg.err
		return nil
	}
	m.closeRevoke()
	m.toast.show(m.now, "revoked "+wording.Clean(msg.key.Label()))
	m.list.replace(msg.key, m.filter.tests, m.now)
	return m.reload()
}

// revokeBox is the dialog: whom it is about, then the question.
func (m *Model) revokeBox() string {
	const width = 54
	r, t := &m.revoke, m.theme
	name := t.dim.Render(fit("reason", nameWidth))
	r.reason.SetWidth(width - nameWidth - 1)
	lines := m.fieldLines([]field{
		{"key", r.key.Label(), t.bold},
		{"id", r.key.ID, t.plain},
		{"status", wording.Status(r.key.Status(m.now)), t.status(r.key.Status(m.now))},
		{"created", m.when(r.key.CreatedAt), t.plain},
		{"scopes", some(r.key.Scopes, 2*(width-nameWidth)), t.plain},
	}, width)
	lines = append(lines, name+r.reason.View(), "")
	lines = append(lines, m.revokeSays(width)...)
	lines = append(lines, "", "   "+m.button("No", r.focus == chooseNo)+"   "+m.button("Yes, revoke", r.focus == chooseYes))
	return t.framed("Revoke this key?", lines, width+4, m.height-1)
}

func (m *Model) revokeSays(width int) []string {
	switch {
	case m.revoke.busy:
		return paint(m.theme.accent, []string{"revoking…"})
	case m.revoke.err != nil:
		return paint(m.theme.bad, wrap("✗ "+wording.Clean(m.revoke.err.Error()), width))
	}
	return paint(m.theme.warn, wrap("It ends at once and for good. This cannot be undone.", width))
}

// button shows by brackets, and not only by its weight, that it has the focus.
func (m *Model) button(text string, focused bool) string {
	if focused {
		return m.theme.bold.Reverse(true).Render("[" + text + "]")
	}
	return m.theme.dim.Render(" " + text + " ")
}

// some is as much of a list as fits, and how many more there are.
func some(texts []string, width int) string {
	if len(texts) == 0 {
		return "none"
	}
	all := strings.Join(texts, " ")
	if len(all) <= width {
		return all
	}
	return strings.TrimRight(fit(all, width-5), " ") + " (" + count(len(texts), "scope") + ")"
}

func (m *Model) revokeBindings() []key.Binding {
	if m.revoke.focus == chooseReason {
		return []key.Binding{bind("enter", "done", "enter"), bind("esc", "cancel", "esc")}
	}
	return []key.Binding{m.bind.Yes, m.bind.No, m.bind.Reason, m.bind.Other, m.bind.Choose}
}
