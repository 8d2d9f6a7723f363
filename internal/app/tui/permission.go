package tui

import (
	tea "charm.land/bubbletea/v2"
)

// permission is whether keys may be changed from here.
type permission struct {
	asking  bool
	known   bool
	refusal string // why not; empty when they may, or when nobody said so yet
}

const (
	refusedByFlag = "read-only: nothing is changed from here"
	refusedByKey  = "your admin key may only look: it lacks keys:write"
)

// askPermission asks what the admin key may do, until that is known. Until then
// nothing is refused here: whoever holds the keys decides anyway.
func (m *Model) askPermission() tea.Cmd {
	p := &m.may
	if p.known || p.asking {
		return nil
	}
	p.asking = true
	return mayChange(m.opts.MayChange)
}

func (m *Model) onPermission(msg permissionMsg) {
	m.may.asking = false
	if msg.err != nil {
		return // asked again with the next reading
	}
	m.may.known = true
	if !msg.may {
		m.forbid(refusedByKey)
	}
}

// forbid takes the keys that lead to a change out of the hints, and has them answered
// by why.
func (m *Model) forbid(why string) {
	m.may.refusal = why
	var typed []string
	for _, change := range m.bind.changes() {
		typed = append(typed, change.Keys()...)
		change.SetEnabled(false)
	}
	m.bind.Refused.SetKeys(typed...)
}
