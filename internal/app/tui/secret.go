package tui

import (
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// secret is the screen that shows a new secret, once. Leaving takes two
// presses of enter or the word ok, so that a key that is held down, or meant for the
// form before, does not throw the secret away.
type secret struct {
	key    *keys.Key
	verb   string // what the user did to have it
	token  keys.Secret
	shown  time.Time
	armed  time.Time // when the first press came; zero before it
	quit   bool      // the user wants to leave the program
	typed  string    // the last letter, for ok
	copied bool
}

// unhurried is how far apart presses are that a person means as two.
const unhurried = 400 * time.Millisecond

func (m *Model) openSecret(msg issuedMsg) {
	m.room = roomSecret
	m.secret = secret{key: msg.issued.Key, verb: "issued", token: msg.issued.Token, shown: m.now}
	if msg.rotated {
		m.secret.verb = "rotated"
	}
}

// keySecret handles the keys that copy and the ones that leave; any other key takes
// the first press back.
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

// pressLeave takes the first press as a question and the second as the answer.
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

// leaveSecret forgets the secret and goes to the key it belongs to.
func (m *Model) leaveSecret() tea.Cmd {
	k, verb, quit := m.secret.key, m.secret.verb, m.secret.quit
	m.secret = secret{}
	m.room = roomTable
	if quit {
		return tea.Quit
	}
	m.list.choose(k.ID)
	m.toast.show(m.now, verb+" "+wording.Clean(k.Label()))
	return tea.Batch(tea.ClearScreen, m.readDetail())
}

func (m *Model) secretView(width, height int) []string {
	s, t := &m.secret, m.theme
	inner := min(width-6, 72)
	verb := strings.ToUpper(s.verb[:1]) + s.verb[1:]
	lines := []string{t.bold.Render(fit(verb+" the "+kindText(s.key)+" "+wording.Clean(s.key.Label()), inner)), ""}
	lines = append(lines, wrap("This is its secret. It is shown once; only a keyed hash is kept.", inner)...)
	lines = append(lines, "", t.accent.Bold(true).Render(s.token.Reveal()), "")
	fields := []field{{"id", s.key.ID, t.plain}, m.expiryField(s.key)}
	if s.verb == "rotated" {
		fields = append(fields, m.oldSecretField(s.key))
	}
	fields = append(fields, field{"check it", "run `" + m.opts.Verify + "` and paste it there", t.plain})
	lines = append(lines, m.fieldLines(fields, inner)...)
	lines = append(append(lines, ""), m.secretSays(inner)...)
	if len(lines) > height {
		lines = append(lines[:1], lines[2:]...) // the blank line goes before an answer does
	}
	for _, w := range s.key.Warnings(m.now) {
		if len(lines) < height-1 {
			lines = append(lines, paint(t.warn, wrap("mind: "+w, inner))...)
		}
	}
	top := max(0, min(3, (height-len(lines))/4))
	return indent(append(make([]string, top), lines...), max(3, (width-inner)/2))
}

// secretSays is the line that answers what was pressed.
func (m *Model) secretSays(width int) []string {
	s := &m.secret
	switch {
	case !s.armed.IsZero() && s.quit:
		return paint(m.theme.warn.Bold(true), wrap("Have you stored it? Press ctrl+c again to quit: nobody can show it a second time.", width))
	case !s.armed.IsZero():
		return paint(m.theme.warn.Bold(true), wrap("Have you stored it? Press enter again to leave: nobody can show it a second time.", width))
	case s.copied:
		return paint(m.theme.ok, wrap("Sent to the clipboard (OSC 52). Not every terminal takes it: paste it to see.", width))
	}
	return paint(m.theme.dim, wrap("c copies it, enter twice leaves.", width))
}
