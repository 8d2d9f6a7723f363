package tui

import (
	"errors"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// dialog asks before a key is changed. Enter means No until the user moves to Yes.
type dialog struct {
	deed  deed
	key   *keys.Key
	text  textinput.Model
	focus choice
	err   error
	busy  bool
	shown time.Time
}

// deed is the change that a dialog asks about: its words, and how it is made.
type deed struct {
	title string // the dialog's question
	yes   string // the verb of the Yes button
	doing string
	done  string // the participle, for "may have been ..."

	secret bool                   // the answer carries a secret
	takes  func(text string) bool // whether it takes something away, so that it waits for guards; nil: never

	back  room    // where No goes back to
	shows []field // in addition to the fields of every dialog

	asks  string             // the name of the text to type, such as reason; empty for none
	text  string             // the text at first
	hint  string             // shown while the text is empty
	check func(string) error // checks the text; nil without one

	mind func() string // what the change means, given the typed text
	does func(id, text string) tea.Cmd
}

// choice is a place of the focus in the dialog.
type choice int

const (
	chooseNo choice = iota
	chooseYes
	chooseText
)

func (d *dialog) setTheme(t theme) { d.text.SetStyles(t.input()) }

func (m *Model) openDialog(k *keys.Key, about deed) {
	input := textinput.New()
	input.Prompt = ""
	input.Placeholder = about.hint
	input.CharLimit = keys.MaxText
	input.SetValue(about.text)
	m.dialog = dialog{deed: about, key: k, text: input, shown: m.now}
	m.dialog.setTheme(m.theme)
	m.room, m.toast = roomDialog, toast{} // the old message goes
}

func (m *Model) closeDialog() {
	m.room = m.dialog.deed.back
	m.dialog = dialog{}
}

func (m *Model) keyDialog(msg tea.KeyPressMsg) tea.Cmd {
	d := &m.dialog
	switch {
	case d.busy && m.leavable() && msg.Code == tea.KeyEscape:
		m.unanswered.aside = true
		m.closeDialog()
		return nil
	case d.busy:
		return nil
	case msg.Code == tea.KeyEscape:
		m.closeDialog()
		return nil
	case d.focus == chooseText:
		return m.keyText(msg)
	case m.now.Sub(d.shown) < unhurried && (key.Matches(msg, m.bind.Yes) || key.Matches(msg, m.bind.Finish)):
		return nil // pressed before the question could be read
	case key.Matches(msg, m.bind.Yes):
		return m.confirm()
	case key.Matches(msg, m.bind.No):
		m.closeDialog()
	case key.Matches(msg, d.typing()):
		return m.focusDialog(chooseText)
	case key.Matches(msg, m.finishing()):
		m.openDialog(d.key, m.finishDeed(d.key))
	case key.Matches(msg, m.bind.Choose) && d.focus == chooseYes:
		return m.confirm()
	case key.Matches(msg, m.bind.Choose):
		m.closeDialog()
	case msg.Code == tea.KeyLeft || msg.Code == tea.KeyRight:
		return m.focusDialog(chooseYes - d.focus)
	case key.Matches(msg, m.bind.Other):
		return m.focusDialog(d.next())
	}
	return nil
}

// next is the place that tab moves to.
func (d *dialog) next() choice {
	if d.focus == chooseYes && d.deed.asks == "" || d.focus == chooseText {
		return chooseNo
	}
	return d.focus + 1
}

// keyText handles a key in the text; enter and tab go back to the buttons.
func (m *Model) keyText(msg tea.KeyPressMsg) tea.Cmd {
	if msg.Code == tea.KeyEnter || msg.Code == tea.KeyTab {
		return m.focusDialog(chooseNo)
	}
	return m.dialogInput(msg)
}

func (m *Model) dialogInput(msg tea.Msg) tea.Cmd {
	d := &m.dialog
	if d.focus != chooseText || d.busy {
		return nil
	}
	var cmd tea.Cmd
	d.text, cmd = d.text.Update(msg)
	mask(&d.text)
	d.err = d.deed.check(d.text.Value())
	return cmd
}

func (m *Model) focusDialog(to choice) tea.Cmd {
	m.dialog.focus = to
	if to == chooseText {
		return m.dialog.text.Focus()
	}
	m.dialog.text.Blur()
	return nil
}

func (m *Model) confirm() tea.Cmd {
	d := &m.dialog
	if d.deed.asks != "" {
		if d.err = d.deed.check(d.text.Value()); d.err != nil {
			return m.focusDialog(chooseText)
		}
	}
	if d.err = m.unready(); d.err != nil {
		return nil
	}
	d.busy = true
	m.ask(d.deed.secret, "key %s (%s) may have been %s", d.key.Label(), d.key.ID, d.deed.done)
	m.unanswered.key, m.unanswered.doing = d.key.Label(), d.deed.doing
	m.unanswered.takes = d.deed.takes != nil && d.deed.takes(d.text.Value())
	return tea.Batch(d.deed.does(d.key.ID, d.text.Value()), notice())
}

// always is for changes that take something away, whatever was typed.
func always(string) bool { return true }

// leavable reports whether esc may leave the dialog while the change waits: the answer needs
// neither the dialog nor the form.
func (m *Model) leavable() bool { return !m.dialog.deed.secret && m.form == nil }

// onChanged shows the changed key. After an error the dialog stays open and shows it.
func (m *Model) onChanged(msg changedMsg) tea.Cmd {
	sent := m.unanswered
	leave := m.answered()
	switch {
	case sent.aside && msg.err != nil:
		m.toast = toast{text: "✗ " + strings.TrimSuffix(sent.doing, "…") + " " + wording.Clean(sent.key+": "+msg.err.Error()), until: m.now.Add(errorTime)}
		return m.reload()
	case m.form != nil && errors.Is(msg.err, keys.ErrVersion):
		return rereadKey(m.manager, m.dialog.key.ID)
	case msg.err != nil:
		return m.dialogFailed(msg.err)
	}
	if leave {
		return tea.Quit
	}
	if !sent.aside {
		m.closeDialog()
		if m.form != nil {
			m.closeForm()
		}
	}
	m.toast.show(m.now, msg.said+" "+wording.Clean(msg.key.Label())+m.effect(msg.everywhere, sent.sent))
	m.list.replace(msg.key, m.filter.tests, m.now)
	return m.reload()
}

// dialogFailed shows the error and reads the keys again: another user may have changed this
// one.
func (m *Model) dialogFailed(err error) tea.Cmd {
	m.dialog.busy, m.dialog.err = false, err
	return m.reload()
}

// refreshDialog updates the key of an open dialog from the list.
func (m *Model) refreshDialog() {
	for _, k := range m.list.all {
		if m.room == roomDialog && k.ID == m.dialog.key.ID {
			m.dialog.key = k
		}
	}
}

// dialogFrame is the rows that a dialog needs beside its text: border, title, buttons, and the
// help line below.
const dialogFrame = 2 + 1 + 1 + 1

// dialogBox renders the dialog: the key, then the question.
func (m *Model) dialogBox() string {
	const width = 54
	d, t := &m.dialog, m.theme
	lines := m.shownLines([]field{
		{"key", d.key.Label(), t.bold},
		{"id", d.key.ID, t.plain},
		{"status", wording.Status(d.key.Status(m.now)), t.status(d.key.Status(m.now))},
	}, max(3, m.height-16), width)
	lines = append(lines, m.shownLines(d.deed.shows, m.height-dialogFrame-len(lines)-2, width)...)
	if d.deed.asks != "" {
		d.text.SetWidth(width - nameWidth - 1)
		lines = append(lines, t.dim.Render(fit(d.deed.asks, nameWidth))+d.text.View())
	}
	says := shorten(m.dialogSays(width), m.height-len(lines)-dialogFrame) // the buttons stay in sight
	lines = append(append(lines, ""), says...)
	if !d.busy {
		lines = append(lines, "", "   "+m.button("No", d.focus == chooseNo)+"   "+m.button("Yes, "+d.deed.yes, d.focus == chooseYes))
	}
	return t.framed(d.deed.title, lines, width+4, m.height-1)
}

// shownLines are the lines of fields, wrapped, or cut to one line each if they need more than
// room.
func (m *Model) shownLines(fields []field, room, width int) []string {
	lines := m.fieldLines(fields, width)
	if len(lines) <= room {
		return lines
	}
	lines = nil
	for _, f := range fields {
		f.text = ansi.Truncate(wording.Clean(f.text), width-nameWidth, "…")
		lines = append(lines, m.fieldLines([]field{f}, width)...)
	}
	return lines
}

func (m *Model) dialogSays(width int) []string {
	d := &m.dialog
	switch {
	case d.busy:
		return paint(m.theme.accent, []string{d.deed.doing, m.waits()}) // two lines from the start, so that nothing jumps
	case d.err != nil:
		return paint(m.theme.bad, wrap("✗ "+wording.Clean(d.err.Error())+m.wayOut(), width))
	}
	return paint(m.theme.warn, wrap(d.deed.mind(), width))
}

// button marks the focus with brackets, not only with its weight.
func (m *Model) button(text string, focused bool) string {
	if focused {
		return m.theme.bold.Reverse(true).Render("[" + text + "]")
	}
	return m.theme.dim.Render(" " + text + " ")
}

// some joins as many texts as fit, and says how many there are.
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

// typing binds the first letter of the text's name, which moves to the text.
func (d *dialog) typing() key.Binding {
	if d.deed.asks == "" {
		return key.NewBinding(key.WithDisabled())
	}
	return bind(d.deed.asks[:1], d.deed.asks, d.deed.asks[:1])
}

func (m *Model) dialogBindings() []key.Binding {
	d := &m.dialog
	switch {
	case d.busy && m.leavable():
		return []key.Binding{bind("esc", "leave; the change continues", "esc")}
	case d.busy:
		return nil
	case d.focus == chooseText:
		return []key.Binding{bind("enter", "done", "enter"), bind("esc", "cancel", "esc")}
	}
	yes := m.bind.Yes
	yes.SetHelp("Y", d.deed.yes)
	return []key.Binding{yes, m.bind.No, d.typing(), m.finishing(), m.bind.Other, m.bind.Choose}
}
