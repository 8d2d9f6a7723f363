package tui

import (
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
)

// unanswered is a change that was sent to the store and is not answered yet. To leave now could
// lose a new secret, so ctrl+c waits for the answer, and leaves at once only if it is pressed
// again.
type unanswered struct {
	change string    // what may have happened, such as "key ci may have been issued"; empty for none
	secret bool      // the answer carries a secret
	leave  time.Time // when ctrl+c was pressed; zero before it
}

// UnansweredError is about a change that was not answered when the dashboard ended: it may
// have been made.
type UnansweredError struct {
	change string
	secret bool
}

func (e *UnansweredError) Error() string {
	text := "the dashboard closed before the store answered: " + e.change
	if e.secret {
		text += ", and its new secret is lost"
	}
	return text + "; check the key before you change it again"
}

// ask notes a change that is sent to the store.
func (m *Model) ask(secret bool, change string, args ...any) {
	m.unanswered = unanswered{change: fmt.Sprintf(change, args...), secret: secret}
}

// answered notes that the answer arrived. It reports whether the user asked to leave before
// that.
func (m *Model) answered() (leave bool) {
	leave = !m.unanswered.leave.IsZero()
	m.unanswered = unanswered{}
	return leave
}

// interrupt leaves, unless an answer is outstanding: then the first press waits for it.
func (m *Model) interrupt() tea.Cmd {
	u := &m.unanswered
	switch {
	case u.change == "":
		return tea.Quit
	case u.leave.IsZero():
		u.leave = m.now
		return nil
	case m.now.Sub(u.leave) < unhurried:
		return nil
	}
	return tea.Quit
}

// waitingText is shown while ctrl+c waits for the answer; empty otherwise.
func (m *Model) waitingText() string {
	u := &m.unanswered
	switch {
	case u.change == "" || u.leave.IsZero():
		return ""
	case u.secret:
		return "Waiting for the new secret. If you press ctrl+c again, it is lost."
	}
	return "Waiting for the answer. Press ctrl+c again to leave without it."
}

// left is the error to return after the dashboard has ended.
func (m *Model) left() error {
	if m.unanswered.change == "" {
		return nil
	}
	return &UnansweredError{wording.Clean(m.unanswered.change), m.unanswered.secret}
}
