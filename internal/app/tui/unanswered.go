package tui

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// unanswered is a change that was sent to the store and is not answered yet. To leave now could
// lose a new secret, so ctrl+c waits for the answer, and leaves at once only if it is pressed
// again.
type unanswered struct {
	change string    // what may have happened, such as "key ci may have been issued"; empty for none
	secret bool      // the answer carries a secret
	leave  time.Time // when ctrl+c was pressed; zero before it

	sent  time.Time
	key   string // the label of the key
	doing string // such as revoking…
	takes bool   // it takes something away, so it waits for guards on other hosts
	aside bool   // the user left the dialog, which does not end the change
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
	m.unanswered = unanswered{change: fmt.Sprintf(change, args...), secret: secret, sent: m.now}
}

// unready is the error of a second change while the first is not answered.
func (m *Model) unready() error {
	if m.unanswered.change == "" {
		return nil
	}
	return fmt.Errorf("the change of %s is not answered yet; wait for it", m.unanswered.key)
}

// A wait is shown after noticed. Until longest it is for guards on other hosts.
const (
	noticed = 300 * time.Millisecond
	longest = feed.LongestLease + time.Second/2
)

// waitMsg: the wait for an answer can be noticed.
type waitMsg struct{}

func notice() tea.Cmd { return tea.Tick(noticed, func(time.Time) tea.Msg { return waitMsg{} }) }

// waits says what a change waits for; empty as long as that cannot be noticed.
func (m *Model) waits() string {
	u := &m.unanswered
	switch waited := m.now.Sub(u.sent); {
	case waited < noticed:
		return ""
	case u.takes && waited < longest:
		return "Waiting until every guard knows (" + feed.LongestLease.String() + " at most)"
	}
	return "Waiting for the answer"
}

// effect says from when on a change that took something away is in effect; empty for other
// changes.
func (m *Model) effect(everywhere, sent time.Time) string {
	const slow = time.Second // longer than a guard takes to confirm a change
	took := m.now.Sub(sent)
	switch {
	case everywhere.IsZero():
		return ""
	case everywhere.After(m.now):
		return fmt.Sprintf(", in effect everywhere at %s (in %s)",
			everywhere.In(m.opts.Zone).Format(time.TimeOnly), everywhere.Sub(m.now).Round(time.Second))
	case took > slow:
		return fmt.Sprintf(", in effect everywhere (waited %s)", took.Round(100*time.Millisecond))
	}
	return ", in effect everywhere"
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

// waitingText is shown while ctrl+c, or a change without a dialog, waits for the answer; empty
// otherwise.
func (m *Model) waitingText() string {
	u := &m.unanswered
	switch {
	case u.aside && u.leave.IsZero():
		return strings.TrimSpace(strings.TrimSuffix(u.doing, "…") + " " + wording.Clean(u.key) + "… " + m.waits())
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
