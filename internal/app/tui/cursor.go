package tui

import (
	"strings"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/mcpkeys/mcpkeys/keys"
)

// cursor is the selected row, and which rows are on the screen.
type cursor struct {
	at   int // the selected row
	top  int // the first row on the screen
	rows int // how many rows fit on the screen
}

// settle selects one of n rows, the nearest to at, and scrolls it into view.
func (c *cursor) settle(n int) {
	c.at = max(0, min(c.at, n-1))
	rows := max(1, c.rows)
	c.top = min(c.top, c.at)
	c.top = max(c.top, c.at-rows+1)
	c.top = max(0, min(c.top, n-rows))
}

// moved returns the row of n that the pressed key selects; ok is false if the key does not
// move.
func (c *cursor) moved(msg tea.KeyPressMsg, b *bindings, n int) (at int, ok bool) {
	switch {
	case msg.Code == tea.KeyUp, key.Matches(msg, b.Up):
		return c.at - 1, true
	case msg.Code == tea.KeyDown, key.Matches(msg, b.Down):
		return c.at + 1, true
	case msg.Code == tea.KeyPgUp, key.Matches(msg, b.PageUp):
		return c.at - c.rows, true
	case msg.Code == tea.KeyPgDown, key.Matches(msg, b.PageDown):
		return c.at + c.rows, true
	case key.Matches(msg, b.First):
		return 0, true
	case key.Matches(msg, b.Last):
		return n - 1, true
	}
	return c.at, false
}

// movesInFilter reports whether a key moves the cursor while a filter is typed. Letters do not.
func movesInFilter(msg tea.KeyPressMsg) bool {
	return msg.Code == tea.KeyUp || msg.Code == tea.KeyDown || msg.Code == tea.KeyPgUp || msg.Code == tea.KeyPgDown
}

// newFilterInput returns the input line of a filter.
func newFilterInput(t theme, placeholder string) textinput.Model {
	input := textinput.New()
	input.Prompt = "/"
	input.CharLimit = keys.MaxText
	input.Placeholder = placeholder
	input.SetStyles(t.input())
	return input
}

// empty says in the middle of the screen why there are no rows, and what to do.
func (m *Model) empty(text, next string, width, height int) []string {
	lines := make([]string, max(0, height/2-1), height+2)
	for _, line := range wrap(text, width-4) {
		lines = append(lines, centred(m.theme.bold.Render(line), width))
	}
	return append(lines, centred(m.theme.dim.Render(next), width))
}

func centred(text string, width int) string {
	return strings.Repeat(" ", max(0, (width-lipgloss.Width(text))/2)) + text
}
