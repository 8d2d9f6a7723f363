package tui

import tea "charm.land/bubbletea/v2"

const wheelRows = 3

// onWheel moves through what the room shows.
func (m *Model) onWheel(msg tea.MouseWheelMsg) tea.Cmd {
	rows := wheelRows
	if msg.Button == tea.MouseWheelUp {
		rows = -wheelRows
	}
	switch m.room {
	case roomTable, roomFilter:
		m.list.move(m.list.at + rows)
		return m.readDetail()
	case roomDetail:
		m.detail.scroll += rows
	case roomAudit, roomAuditFilter:
		m.audit.move(m.audit.at + rows)
	case roomAuditRow:
		m.audit.scroll += rows
	}
	return nil
}

// onClick selects the row under the pointer. Dialogs ignore clicks, so that a wrong click does
// not revoke a key.
func (m *Model) onClick(msg tea.MouseClickMsg) tea.Cmd {
	if msg.Button != tea.MouseLeft || (m.room != roomTable && m.room != roomFilter) || m.tooSmall() {
		return nil
	}
	row := msg.Y - m.tableTop()
	width, _ := m.tableSize()
	if row < 0 || row >= m.list.rows || msg.X >= width || m.list.top+row >= len(m.list.shown) {
		return nil
	}
	m.list.move(m.list.top + row)
	return m.readDetail()
}

// toggleMouse turns the mouse off or on; while it is off, the terminal selects text as usual.
func (m *Model) toggleMouse() {
	m.noMouse = !m.noMouse
	if m.noMouse {
		m.toast.show(m.now, "mouse: the terminal selects text again")
		return
	}
	m.toast.show(m.now, "mouse: clicks and the wheel move the selection")
}

// mouseMode leaves the mouse to the terminal where users want to select text, above all on the
// secret's screen.
func (m *Model) mouseMode() tea.MouseMode {
	switch m.room {
	case roomTable, roomFilter, roomDetail, roomAudit, roomAuditFilter, roomAuditRow:
		if !m.noMouse {
			return tea.MouseModeCellMotion
		}
	}
	return tea.MouseModeNone
}
