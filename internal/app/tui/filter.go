package tui

import (
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/keys"
)

// filter is the text that reduces the list.
type filter struct {
	input textinput.Model
	tests []test
}

func newFilter(t theme) filter {
	return filter{input: newFilterInput(t, "name, owner, scope or id; status:expiring owner:x kind:admin !status:revoked")}
}

func (f *filter) setTheme(t theme) { f.input.SetStyles(t.input()) }

func (f *filter) active() bool { return len(f.tests) > 0 }

// test is one word of the filter. A key is shown if it passes all of them.
type test struct {
	field string // empty means name, owner, scopes and id
	want  string // lower case
	not   bool
}

// texts are the values of a field of k. A word with a colon whose first part is not a field is
// probably a scope, and is searched for as it is.
func texts(field string, k *keys.Key, now time.Time) (found []string, known bool) {
	switch field {
	case "":
		return append([]string{k.ID, k.Name, k.Owner}, k.Scopes...), true
	case "id":
		return []string{k.ID}, true
	case "name":
		return []string{k.Name}, true
	case "owner":
		return []string{k.Owner}, true
	case "kind":
		return []string{string(k.Kind)}, true
	case "scope":
		return k.Scopes, true
	case "audience":
		return k.Audience, true
	case "status":
		return []string{string(k.Status(now))}, true
	}
	return nil, false
}

// parseFilter splits text at spaces. It refuses nothing, because a filter is applied while it
// is typed.
func parseFilter(text string) []test {
	var tests []test
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		bare, not := strings.CutPrefix(word, "!")
		t := test{want: bare, not: not}
		if field, want, ok := strings.Cut(bare, ":"); ok {
			if _, known := texts(field, &keys.Key{}, time.Time{}); known && field != "" {
				t.field, t.want = field, want
			}
		}
		if t.want != "" {
			tests = append(tests, t)
		}
	}
	return tests
}

func (t test) fits(k *keys.Key, now time.Time) bool {
	found, _ := texts(t.field, k, now)
	for _, text := range found {
		if strings.Contains(strings.ToLower(text), t.want) {
			return !t.not
		}
	}
	return t.not
}

func fitsAll(tests []test, k *keys.Key, now time.Time) bool {
	for _, t := range tests {
		if !t.fits(k, now) {
			return false
		}
	}
	return true
}

// openFilter puts the cursor into the filter.
func (m *Model) openFilter() tea.Cmd {
	m.room = roomFilter
	m.filter.input.CursorEnd()
	return m.filter.input.Focus()
}

func (m *Model) keyFilter(msg tea.KeyPressMsg) tea.Cmd {
	switch {
	case key.Matches(msg, m.bind.Clear):
		return m.closeFilter("")
	case key.Matches(msg, m.bind.Keep):
		return m.closeFilter(withoutSecret(m.filter.input.Value()))
	case movesInFilter(msg):
		return m.keyMove(msg)
	}
	return m.filterInput(msg)
}

// filterInput applies the filter after each letter. A text that looks like a key is masked and
// filters nothing.
func (m *Model) filterInput(msg tea.Msg) tea.Cmd {
	var cmd tea.Cmd
	m.filter.input, cmd = m.filter.input.Update(msg)
	mask(&m.filter.input)
	return tea.Batch(cmd, m.applyFilter())
}

func (m *Model) applyFilter() tea.Cmd {
	m.filter.tests = nil
	if text := m.filter.input.Value(); !keys.LooksLikeToken(text) {
		m.filter.tests = parseFilter(text)
	}
	m.list.sift(m.filter.tests, m.now)
	return m.readDetail()
}

// closeFilter leaves the filter, with text in it.
func (m *Model) closeFilter(text string) tea.Cmd {
	m.room = roomTable
	m.filter.input.SetValue(text)
	m.filter.input.Blur()
	mask(&m.filter.input)
	return m.applyFilter()
}

// withoutSecret returns the id of a complete key, which the filter then searches for, and
// nothing for a part of one.
func withoutSecret(text string) string {
	if token, err := keys.ParseToken(strings.TrimSpace(text)); err == nil {
		return token.ID()
	}
	if keys.LooksLikeToken(text) {
		return ""
	}
	return text
}

// mask hides the text of input while it looks like a key.
func mask(input *textinput.Model) {
	input.EchoMode = textinput.EchoNormal
	if keys.LooksLikeToken(input.Value()) {
		input.EchoMode = textinput.EchoPassword
	}
}
