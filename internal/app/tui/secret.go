package tui

import (
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// secret is the screen that shows a new secret once. Leaving takes two presses of enter, or the
// word ok, so that a key that is held down, or was meant for the form before, does not lose the
// secret.
type secret struct {
	key    *keys.Key
	verb   string // issued or rotated
	effect string // from when on the old secret has ended everywhere
	token  keys.Secret
	shown  time.Time
	armed  time.Time // when the first press came; zero before it
	quit   bool      // the user wants to leave the program
	typed  string    // the last letter, for ok
	copied bool
}

// unhurried is the least time between two deliberate presses.
const unhurried = 400 * time.Millisecond

func (m *Model) openSecret(msg issuedMsg) {
	m.room = roomSecret
	m.secret = secret{key: msg.issued.Key, verb: "issued", token: msg.issued.Token, shown: m.now}
	if msg.rotated {
		m.secret.verb = "rotated"
	}
}

// keySecret handles the keys that copy and that leave; any other key cancels the first press.
func (m *Model) keySecret(msg tea.KeyPressMsg) tea.Cmd {
	s := &m.secret
	switch {
	case key.Matches(msg, m.bind.CopySecret):
		s.copied = true
		return copyText(s.token.Reveal())
	case m.tooSmall():
		return nil
	case key.Matches(msg, m.bind.Leave):
		return m.pressLeave(false)
	case key.Matches(msg, m.bind.Interrupt):
		return m.pressLeave(true)
	}
	if s.typed == "o" && msg.Text == "k" {
		return m.leaveSecret()
	}
	s.typed, s.armed = msg.Text, time.Time{}
	return nil
}

// pressLeave asks after the first press and leaves after the second.
func (m *Model) pressLeave(quit bool) tea.Cmd {
	s := &m.secret
	switch {
	case m.now.Sub(s.shown) < unhurried:
		return nil
	case s.armed.IsZero() || s.quit != quit:
		s.armed, s.quit = m.now, quit
		return nil
	case m.now.Sub(s.armed) < unhurried:
		s.armed = m.now
		return nil
	}
	return m.leaveSecret()
}

// leaveSecret drops the secret and selects its key.
func (m *Model) leaveSecret() tea.Cmd {
	k, verb, effect, quit := m.secret.key, m.secret.verb, m.secret.effect, m.secret.quit
	m.secret = secret{}
	m.room = roomTable
	if quit {
		return tea.Quit
	}
	m.list.choose(k.ID)
	m.toast.show(m.now, verb+" "+wording.Clean(k.Label())+effect)
	return tea.Batch(tea.ClearScreen, m.readDetail())
}

func (m *Model) secretView(width, height int) []string {
	s, t := &m.secret, m.theme
	inner := min(width-6, 72)
	verb := strings.ToUpper(s.verb[:1]) + s.verb[1:]
	lines := []string{t.bold.Render(fit(verb+" the "+kindText(s.key)+" "+wording.Clean(s.key.Label()), inner)), ""}
	lines = append(lines, wrap("This is its secret. Store it now: it cannot be shown again.", inner)...)
	lines = append(lines, "", t.accent.Bold(true).Render(s.token.Reveal()), "")
	fields := []field{{"id", s.key.ID, t.plain}, m.expiryField(s.key)}
	if s.verb == "rotated" {
		fields = append(fields, m.oldSecretField(s.key))
	}
	fields = append(fields, field{"check it", "run `" + m.opts.Verify + "` and paste it there", t.plain})
	lines = append(lines, m.fieldLines(fields, inner)...)
	lines = append(append(lines, ""), m.secretSays(inner)...)
	if len(lines) > height {
		lines = append(lines[:1], lines[2:]...) // drop the blank line rather than an answer
	}
	for _, w := range s.key.Warnings(m.now) {
		if len(lines) < height-1 {
			lines = append(lines, paint(t.warn, wrap("warning: "+w, inner))...)
		}
	}
	top := max(0, min(3, (height-len(lines))/4))
	return indent(append(make([]string, top), lines...), max(3, (width-inner)/2))
}

// secretSays answers the last key press.
func (m *Model) secretSays(width int) []string {
	s := &m.secret
	switch {
	case !s.armed.IsZero() && s.quit:
		return paint(m.theme.warn.Bold(true), wrap("Have you stored it? Press ctrl+c again to quit: it cannot be shown again.", width))
	case !s.armed.IsZero():
		return paint(m.theme.warn.Bold(true), wrap("Have you stored it? Press enter again to leave: it cannot be shown again.", width))
	case s.copied:
		return paint(m.theme.ok, wrap("Sent to the clipboard (OSC 52). Some terminals ignore that: paste it to check.", width))
	}
	return paint(m.theme.dim, wrap("c copies it; press enter twice to leave.", width))
}
