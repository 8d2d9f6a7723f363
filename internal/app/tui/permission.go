package tui

import (
	tea "charm.land/bubbletea/v2"
)

// permission is whether the user may change keys.
type permission struct {
	asking  bool
	known   bool
	refusal string // why not; empty if allowed or not known yet
}

const (
	refusedByFlag = "read-only: started with --read-only"
	refusedByKey  = "your admin key cannot change keys: it lacks the scope keys:write"
)

// askPermission asks what the admin key may do, until that is known. Before that nothing is
// refused here; the store decides anyway.
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

// forbid removes the keys that lead to a change from the hints, and answers them with why.
func (m *Model) forbid(why string) {
	m.may.refusal = why
	var typed []string
	for _, change := range m.bind.changes() {
		typed = append(typed, change.Keys()...)
		change.SetEnabled(false)
	}
	m.bind.Refused.SetKeys(typed...)
}
