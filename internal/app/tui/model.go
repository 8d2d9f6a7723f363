package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/admin"
)

// Options configures [New] and [Run]. Nil and the zero value are valid.
type Options struct {
	Now      func() time.Time // nil means time.Now
	Zone     *time.Location   // of the times on the screen; nil means time.Local
	ReadOnly bool             // show keys, but change none
	Store    string           // where the keys are, for the top line; empty leaves it out
	Verify   string           // the command that checks a key; empty means keyctl verify -

	// MayChange reports whether the admin key of the manager may change keys, so that the
	// dashboard can refuse before a form is filled in. Nil means that it may.
	MayChange func(context.Context) (bool, error)
}

// Model is the dashboard as a Bubble Tea model. It belongs to one program and is not
// safe for concurrent use.
type Model struct {
	manager admin.Manager
	opts    Options
	now     time.Time // as of the current message

	width, height int
	theme         theme
	bind          bindings
	room          room
	noMouse       bool // the terminal handles the mouse, to select text

	load   load
	list   list
	filter filter
	detail detail
	form   *form
	secret secret
	dialog dialog
	audit  auditScreen
	help   helpPage
	toast  toast

	unanswered unanswered

	may permission
}

var _ tea.Model = (*Model)(nil)

// room is the open screen, which also gets the pressed keys.
type room int

const (
	roomTable  room = iota
	roomFilter      // the table, with the cursor in the filter
	roomDetail      // one key on the whole screen
	roomForm
	roomSecret
	roomDialog
	roomHelp
	roomAudit       // who changed what
	roomAuditFilter // the same, with the cursor in its filter
	roomAuditRow    // one row on the whole screen
)

// New returns a dashboard on manager. It calls manager only after the program starts.
func New(manager admin.Manager, o *Options) *Model {
	m := &Model{manager: manager}
	if o != nil {
		m.opts = *o
	}
	if m.opts.Now == nil {
		m.opts.Now = time.Now //nolint:forbidigo // the default clock
	}
	if m.opts.Zone == nil {
		m.opts.Zone = time.Local
	}
	if m.opts.Verify == "" {
		m.opts.Verify = "keyctl verify -"
	}
	m.now = m.opts.Now()
	m.bind = newBindings()
	m.may.known = m.opts.MayChange == nil || m.opts.ReadOnly
	if m.opts.ReadOnly {
		m.forbid(refusedByFlag)
	}
	m.setTheme(newTheme(true)) // until the terminal reports its background; some never do
	m.filter = newFilter(m.theme)
	m.audit = newAudit(m.theme)
	return m
}

// Init implements [tea.Model].
func (m *Model) Init() tea.Cmd {
	return tea.Batch(m.reload(), m.askPermission(), tick(), tea.RequestBackgroundColor)
}

// Update implements [tea.Model].
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.now = m.opts.Now()
	cmd := m.update(msg)
	m.list.show(m.tableRows())
	return m, cmd
}

func (m *Model) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.resize(msg.Width, msg.Height)
	case tea.BackgroundColorMsg:
		m.setTheme(newTheme(msg.IsDark()))
	case tickMsg:
		return m.onTick()
	case pageMsg:
		return m.onPage(msg)
	case keyMsg:
		return m.onKeyRead(msg)
	case issuedMsg:
		return m.onIssued(msg)
	case auditMsg:
		return m.onAudit(msg)
	case permissionMsg:
		m.onPermission(msg)
	case changedMsg:
		return m.onChanged(msg)
	case rereadMsg:
		return m.onReread(msg)
	case waitMsg: // only the time on the screen changes
	case tea.MouseWheelMsg:
		return m.onWheel(msg)
	case tea.MouseClickMsg:
		return m.onClick(msg)
	case tea.KeyPressMsg:
		return m.onKey(msg)
	default:
		return m.onInput(msg)
	}
	return nil
}

// onInput handles what an input needs beside keys: pasted text, and the blinking of its cursor.
func (m *Model) onInput(msg tea.Msg) tea.Cmd {
	if _, pasted := msg.(tea.PasteMsg); pasted && m.tooSmall() {
		return nil
	}
	switch m.room {
	case roomFilter:
		return m.filterInput(msg)
	case roomAuditFilter:
		return m.auditInput(msg)
	case roomForm:
		return m.formInput(msg)
	case roomDialog:
		return m.dialogInput(msg)
	}
	return nil
}

func (m *Model) resize(width, height int) {
	m.width, m.height = width, height
	if m.form != nil {
		m.form.setSize(m.formSize())
	}
}

func (m *Model) setTheme(t theme) {
	m.theme = t
	m.filter.setTheme(t)
	m.audit.input.SetStyles(t.input())
	m.dialog.setTheme(t)
	if m.form != nil {
		m.form.setTheme(t)
	}
}

// onTick runs what is due, once a second: old toasts go, the list is read again.
func (m *Model) onTick() tea.Cmd {
	m.toast.expire(m.now)
	cmds := []tea.Cmd{tick()}
	if m.load.due(m.now) {
		cmds = append(cmds, m.reload(), m.askPermission())
	}
	if m.auditDue() {
		cmds = append(cmds, m.readAudit(false))
	}
	return tea.Batch(cmds...)
}
