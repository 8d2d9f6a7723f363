package tui_test

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// fits fails unless text has exactly the size of the screen.
func fits(t testing.TB, text string, width, height int) {
	t.Helper()
	lines := strings.Split(text, "\n")
	if len(lines) != height {
		t.Errorf("%dx%d: the screen has %d lines", width, height, len(lines))
	}
	for i, line := range lines {
		if got := ansi.StringWidth(line); got > width {
			t.Errorf("%dx%d: line %d is %d columns wide: %q", width, height, i+1, got, line)
		}
	}
}

// Every screen is resized across each border of the layout and never draws past an edge.
func TestEveryRoomFitsEverySize(t *testing.T) {
	for _, view := range views {
		t.Run(view.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, _ := reach(t, view.empty, 80, 24, view.way)
				for _, width := range []int{1, 7, 40, 59, 60, 61, 71, 72, 79, 80, 81, 109, 110, 111, 123, 124, 125, 230} {
					for _, height := range []int{1, 5, 15, 16, 17, 24, 60} {
						s.send(tea.WindowSizeMsg{Width: width, Height: height})
						fits(t, s.text(), width, height)
					}
				}
				s.settle()
			})
		})
	}
}

func TestTooSmallAsksForRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _, _ := newStore(t)
		believable(t, m)
		s := open(t, m, 59, 16, nil)
		s.wants("the window is too small", "59x16, needs 60x16")
		for _, name := range []string{"x", "Y", "n", "/", "enter", "p", "q"} { // nothing happens while it cannot be seen
			s.press(name)
		}
		if s.quit {
			t.Error("q on the small card: left the program")
		}
		s.send(tea.WindowSizeMsg{Width: 60, Height: 16})
		s.wants("nightly-report", "▸ ● active    ci")
		s.lacks("Revoke this key?", "Issue a key", "paused")
	})
}
