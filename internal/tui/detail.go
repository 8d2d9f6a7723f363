package tui

import (
	"errors"
	"slices"
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// detail is the selected key read by itself, because a list checks no seals. At most
// one reading is under way, however fast the selection moves.
type detail struct {
	id      string // whose reading key and err are
	key     *keys.Key
	usage   *keys.Usage // of the last day; nil when it is not known
	err     error
	reading bool
	stale   bool // the list was read since
	scroll  int  // on the whole screen
}

// readDetail reads the selected key unless that was done.
func (m *Model) readDetail() tea.Cmd {
	d, k := &m.detail, m.list.selected()
	if k == nil || d.reading || (d.id == k.ID && !d.stale) {
		return nil
	}
	d.reading = true
	return readKey(m.manager, k.ID, m.now.Add(-keys.UsageSince))
}

func (m *Model) onKeyRead(msg keyMsg) tea.Cmd {
	m.detail.reading, m.detail.stale = false, false
	m.detail.id, m.detail.key, m.detail.usage, m.detail.err = msg.id, msg.key, msg.usage, msg.err
	return m.readDetail() // the selection may have moved on
}

func (m *Model) openDetail() {
	if m.list.selected() != nil {
		m.room, m.detail.scroll = roomDetail, 0
	}
}

func (m *Model) keyDetail(msg tea.KeyPressMsg) tea.Cmd {
	if cmd, ok := m.keyAnywhere(msg); ok {
		return cmd
	}
	switch {
	case key.Matches(msg, m.bind.Back):
		m.room = roomTable
	case key.Matches(msg, m.bind.Up):
		m.detail.scroll--
	case key.Matches(msg, m.bind.Down):
		m.detail.scroll++
	case key.Matches(msg, m.bind.PageUp):
		m.detail.scroll -= m.bodyHeight()
	case key.Matches(msg, m.bind.PageDown):
		m.detail.scroll += m.bodyHeight()
	case key.Matches(msg, m.bind.First):
		m.detail.scroll = 0
	}
	return nil
}

// detailScreen is the whole of the selected key, scrolled where it is longer than the
// screen.
func (m *Model) detailScreen(width, height int) []string {
	k := m.list.selected()
	if k == nil {
		return []string{"", centred(m.theme.bold.Render("This key is no longer listed"), width), centred(m.theme.dim.Render("esc goes back"), width)}
	}
	lines := append([]string{""}, m.detailLines(k, width-4)...)
	m.detail.scroll = max(0, min(m.detail.scroll, len(lines)-height))
	lines = lines[m.detail.scroll:]
	if len(lines) > height {
		lines = append(slices.Clone(lines[:height-1]), m.theme.dim.Render("… ↓ shows more"))
	}
	return indent(lines, 2)
}

// detailPane is as much of the selected key as has room, in one column or two.
func (m *Model) detailPane(width, height, columns int) []string {
	k := m.list.selected()
	if k == nil {
		return block([]string{"", m.theme.dim.Render("  no key is selected")}, width, height)
	}
	if columns == 1 {
		return block(m.withMore(m.detailLines(k, width-1), height), width, height)
	}
	inner := (width - 3) / columns
	left := m.titleLines(k, inner)
	fields := m.fields(m.whole(k))
	for len(fields) > 0 {
		n := 1
		for n < len(fields) && fields[n].name == "" { // a list stays together
			n++
		}
		next := m.fieldLines(fields[:n], inner)
		if len(left)+len(next) > height {
			break
		}
		left, fields = append(left, next...), fields[n:]
	}
	left = block(left, inner, height)
	right := block(m.withMore(append([]string{""}, m.fieldLines(fields, inner)...), height), inner, height)
	for i := range left {
		left[i] = " " + left[i] + "  " + right[i]
	}
	return left
}

// withMore cuts lines to height, and says so.
func (m *Model) withMore(lines []string, height int) []string {
	if len(lines) <= height {
		return lines
	}
	return append(slices.Clone(lines[:height-1]), m.theme.dim.Render("… enter shows all"))
}

func indent(lines []string, by int) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = strings.Repeat(" ", by) + line
	}
	return out
}

// whole is k as it was last read by itself, or as the list has it.
func (m *Model) whole(k *keys.Key) *keys.Key {
	if m.detail.id == k.ID && m.detail.key != nil {
		return m.detail.key
	}
	return k
}

// detailLines is all that is known of k.
func (m *Model) detailLines(k *keys.Key, width int) []string {
	return append(m.titleLines(k, width), m.fieldLines(m.fields(m.whole(k)), width)...)
}

func (m *Model) titleLines(k *keys.Key, width int) []string {
	title := ansi.Truncate(wording.Clean(m.whole(k).Label()), width, "…")
	return append(m.doubt(k, width), m.theme.bold.Render(title))
}

// doubt names a key that was changed behind our back, and one that could not be read.
func (m *Model) doubt(k *keys.Key, width int) []string {
	if m.detail.id != k.ID || m.detail.err == nil {
		return nil
	}
	text := "this key could not be read by itself: " + m.detail.err.Error()
	if errors.Is(m.detail.err, keys.ErrTampered) {
		text = "CHANGED OUTSIDE MCPKEYS: guards refuse this key, and nothing below can be trusted. Revoke it, or restore the database from a backup."
	}
	var lines []string
	for _, line := range wrap("✗ "+wording.Clean(text), width) {
		lines = append(lines, m.theme.banner.Render(line))
	}
	return append(lines, "")
}
