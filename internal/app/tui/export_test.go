package tui

// Left exposes what [Run] returns at the end.
func (m *Model) Left() error { return m.left() }
