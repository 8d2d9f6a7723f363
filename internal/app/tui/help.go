package tui

import (
	"strings"

	"charm.land/bubbles/v2/help"
	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// helpPage remembers where the user came from.
type helpPage struct{ from room }

func (m *Model) openHelp() {
	m.help.from = m.room
	m.room = roomHelp
}

func (m *Model) keyHelp(msg tea.KeyPressMsg) tea.Cmd {
	if key.Matches(msg, m.bind.Help) || key.Matches(msg, m.bind.Back) {
		m.room = m.help.from
	}
	return nil
}

// helpLine is the bottom row: the keys that work here, the most useful first, as many as fit.
func (m *Model) helpLine() string {
	h := help.New()
	h.ShortSeparator = "  "
	h.Styles = m.theme.help()
	h.SetWidth(m.width - 2)
	return " " + h.ShortHelpView(m.roomBindings())
}

func (m *Model) roomBindings() []key.Binding {
	b := m.bind
	switch m.room {
	case roomFilter, roomAuditFilter:
		return []key.Binding{b.Keep, b.Clear, bind("↑/↓", "move", "up")}
	case roomDetail:
		return []key.Binding{bind("esc", "back", "esc"), b.Edit, b.Rotate, m.toggleBinding(), b.Revoke, b.Help, b.CopyID, bind("↑/↓", "scroll", "up")}
	case roomForm:
		return m.formBindings()
	case roomSecret:
		return []key.Binding{b.CopySecret, b.Leave}
	case roomDialog:
		return m.dialogBindings()
	case roomHelp:
		return []key.Binding{bind("esc", "back", "esc")}
	case roomAudit:
		return []key.Binding{bind("esc", "back", "esc"), b.Open, b.Filter, b.Help, b.Refresh, b.Pause, bind("↑/↓", "move", "up")}
	case roomAuditRow:
		return []key.Binding{bind("esc", "back", "esc"), bind("↑/↓", "scroll", "up")}
	}
	clearing := b.Clear
	clearing.SetEnabled(m.filter.active())
	return []key.Binding{b.New, b.Edit, b.Rotate, m.toggleBinding(), b.Revoke, b.Help, b.Filter, b.Quit, clearing, b.Open, b.Audit, b.CopyID, b.Pause, b.Refresh, b.Mouse}
}

// helpBox explains all keys, signs and filter words.
func (m *Model) helpBox() string {
	b, t := m.bind, m.theme
	pairs := func(bindings ...key.Binding) []string {
		var lines []string
		for _, one := range bindings {
			if one.Enabled() {
				lines = append(lines, t.accent.Render(fit(one.Help().Key, 8))+" "+one.Help().Desc)
			}
		}
		return lines
	}
	left := pairs(b.New, b.Edit, b.Rotate, b.Toggle, b.Revoke, b.Open, b.CopyID, b.Filter, b.Audit, b.Quit)
	right := pairs(b.Up, b.Down, b.PageUp, b.PageDown, b.First, b.Last, b.Pause, b.Refresh, b.Mouse)
	lines := make([]string, 0, minHeight)
	for i := range max(len(left), len(right)) {
		lines = append(lines, fit(at(left, i), 25)+at(right, i))
	}
	var signs []string
	for _, s := range []keys.Status{keys.StatusActive, keys.StatusExpiring, keys.StatusExpired, keys.StatusDisabled, keys.StatusRevoked} {
		signs = append(signs, t.status(s).Render(wording.Status(s)))
	}
	lines = append(lines, "", strings.Join(signs, " "))
	return t.framed("Keys", append(lines,
		t.accent.Render("/ci status:active")+" all words must match;",
		"id name owner scope audience kind status, ! negates",
	), minWidth, m.height-1)
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}
