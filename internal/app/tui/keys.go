package tui

import (
	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/keys"
)

// bindings are all keys of the dashboard, each with its help.
type bindings struct {
	Up, Down, PageUp, PageDown, First, Last key.Binding

	New, Edit, Rotate, Toggle, Revoke    key.Binding
	Filter, Open, CopyID, Audit          key.Binding
	Pause, Refresh, Mouse, Help, Quit    key.Binding
	Clear, Keep                          key.Binding // in the filter
	Back                                 key.Binding
	NextField, PrevField, Preset, Submit key.Binding // in the form
	CopySecret, Leave                    key.Binding // on the secret's screen
	Yes, No, Finish, Other, Choose       key.Binding // in a dialog
	Refused                              key.Binding // keys that would change something, if that is not allowed
	Interrupt                            key.Binding
}

func bind(help, does string, typed ...string) key.Binding {
	return key.NewBinding(key.WithKeys(typed...), key.WithHelp(help, does))
}

func newBindings() bindings {
	return bindings{
		Up:       bind("↑/k", "up", "up", "k"),
		Down:     bind("↓/j", "down", "down", "j"),
		PageUp:   bind("pgup", "page up", "pgup", "ctrl+b"),
		PageDown: bind("pgdn", "page down", "pgdown", "ctrl+f", "space"),
		First:    bind("home/g", "first", "home", "g"),
		Last:     bind("end/G", "last", "end", "G"),

		New:     bind("n", "new key", "n"),
		Edit:    bind("e", "edit", "e"),
		Rotate:  bind("t", "rotate", "t"),
		Toggle:  bind("d", "disable/enable", "d"),
		Revoke:  bind("x", "revoke", "x"),
		Filter:  bind("/", "filter", "/"),
		Open:    bind("enter", "details", "enter"),
		CopyID:  bind("y", "copy id", "y"),
		Audit:   bind("a", "audit log", "a"),
		Pause:   bind("p", "pause", "p"),
		Refresh: bind("r", "refresh", "r"),
		Mouse:   bind("m", "mouse on/off", "m"),
		Help:    bind("?", "help", "?"),
		Quit:    bind("q", "quit", "q"),

		Clear: bind("esc", "clear", "esc"),
		Keep:  bind("enter", "keep", "enter"),
		Back:  bind("esc", "back", "esc", "q", "enter"),

		NextField: bind("tab/↓", "next", "tab", "down", "enter"),
		PrevField: bind("shift+tab/↑", "back", "shift+tab", "up"),
		Preset:    bind("space", "next choice", "space"),
		Submit:    bind("ctrl+s", "issue", "ctrl+s"),

		CopySecret: bind("c/y", "copy", "c", "y"),
		Leave:      bind("enter twice, or ok", "leave", "enter"),

		Yes:    bind("Y", "yes", "Y"), // not y, which copies an id in the list
		No:     bind("n/esc", "no", "n", "esc"),
		Finish: bind("f", "finish", "f"),
		Other:  bind("tab", "next", "tab", "shift+tab", "left", "right", "up", "down"),
		Choose: bind("enter", "choose", "enter"),

		Refused:   key.NewBinding(), // none yet
		Interrupt: bind("ctrl+c", "quit", "ctrl+c"),
	}
}

// changes are the keys that lead to a change.
func (b *bindings) changes() []*key.Binding {
	return []*key.Binding{&b.New, &b.Edit, &b.Rotate, &b.Toggle, &b.Revoke}
}

// onKey gives a pressed key to the open screen.
func (m *Model) onKey(msg tea.KeyPressMsg) tea.Cmd {
	switch {
	case m.room == roomSecret:
		return m.keySecret(msg)
	case key.Matches(msg, m.bind.Interrupt):
		return m.interrupt()
	case m.tooSmall():
		return nil // nothing is changed while it cannot be seen
	}
	switch m.room {
	case roomFilter:
		return m.keyFilter(msg)
	case roomDetail:
		return m.keyDetail(msg)
	case roomForm:
		return m.keyForm(msg)
	case roomDialog:
		return m.keyDialog(msg)
	case roomHelp:
		return m.keyHelp(msg)
	case roomAudit:
		return m.keyAudit(msg)
	case roomAuditFilter:
		return m.keyAuditFilter(msg)
	case roomAuditRow:
		return m.keyAuditRow(msg)
	}
	return m.keyTable(msg)
}

func (m *Model) keyTable(msg tea.KeyPressMsg) tea.Cmd {
	switch {
	case key.Matches(msg, m.bind.Quit):
		return m.interrupt()
	case key.Matches(msg, m.bind.New):
		return m.openForm(newDraft(), nil)
	case key.Matches(msg, m.bind.Filter):
		return m.openFilter()
	case key.Matches(msg, m.bind.Clear):
		return m.closeFilter("")
	case key.Matches(msg, m.bind.Open):
		m.openDetail()
		return nil
	}
	if cmd, ok := m.keyAnywhere(msg); ok {
		return cmd
	}
	return m.keyMove(msg)
}

// keyAnywhere handles the keys that work both in the list and in the whole-screen detail.
func (m *Model) keyAnywhere(msg tea.KeyPressMsg) (tea.Cmd, bool) {
	switch {
	case key.Matches(msg, m.bind.Edit):
		return m.openEdit(), true
	case key.Matches(msg, m.bind.Rotate):
		m.openRotate()
	case key.Matches(msg, m.bind.Toggle):
		m.openToggle()
	case key.Matches(msg, m.bind.Revoke):
		m.openRevoke()
	case key.Matches(msg, m.bind.Refused):
		m.toast.show(m.now, m.may.refusal)
	case key.Matches(msg, m.bind.CopyID):
		return m.copyID(), true
	case key.Matches(msg, m.bind.Audit):
		return m.openAudit(), true
	case key.Matches(msg, m.bind.Refresh):
		return m.reload(), true
	case key.Matches(msg, m.bind.Pause):
		m.load.paused = !m.load.paused
	case key.Matches(msg, m.bind.Mouse):
		m.toggleMouse()
	case key.Matches(msg, m.bind.Help):
		m.openHelp()
	default:
		return nil, false
	}
	return nil, true
}

func (m *Model) keyMove(msg tea.KeyPressMsg) tea.Cmd {
	at, _ := m.list.moved(msg, &m.bind, len(m.list.shown))
	m.list.move(at)
	return m.readDetail()
}

func (m *Model) copyID() tea.Cmd {
	k := m.list.selected()
	if k == nil || !keys.ValidID(k.ID) {
		return nil
	}
	m.toast.show(m.now, "id sent to the clipboard (OSC 52)")
	return copyText(k.ID)
}
