package tui

import (
	"strings"

	"charm.land/bubbles/v2/key"
	"charm.land/lipgloss/v2"

	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// formView is the whole screen of the form.
func (m *Model) formView(width, height int) []string {
	f := m.form
	left := max(2, (width-formWidth)/2)
	title := "Issue a key"
	if k := f.of; k != nil {
		title = "Edit the " + kindText(k) + " " + wording.Clean(k.Label())
	}
	lines := []string{m.theme.bold.Render(fit(title, min(width-left-2, formWidth))), ""}
	lines = append(lines, strings.Split(f.huh.View(), "\n")...)
	lines = append(lines, "")
	lines = append(lines, m.formSays(min(width-left-2, formWidth))...)
	if spare := len(lines) - height; spare > 0 {
		lines = append(lines[:1], lines[2:]...) // the blank line goes before a field does
	}
	return indent(append(make([]string, max(0, min(3, (height-len(lines))/4))), lines...), left)
}

// formSays is what there is to say about the field with the cursor, below the fields.
func (m *Model) formSays(width int) []string {
	f, e := m.form, m.form.focused()
	text, style := e.hint, m.theme.dim
	switch {
	case f.busy:
		text, style = "issuing…", m.theme.accent
	case f.err != nil:
		text, style = "✗ "+f.err.Error(), m.theme.bad
	case e.field != nil && e.field.Error() != nil:
		text, style = "✗ "+e.field.Error().Error(), m.theme.bad
	case e.label == labelExpires:
		text += m.endsText()
	case e.grants() && len(f.draft.granted()) > 0 && f.draft.checkScopes() == nil: // what will not do may be a secret
		text = "it is granted: " + strings.Join(f.draft.granted(), " ")
	case e.label == labelLast:
		text += m.warningText()
	}
	return paint(style, wrap(wording.Clean(text), width))
}

func paint(s lipgloss.Style, lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = s.Render(line)
	}
	return out
}

func kindText(k *keys.Key) string {
	if k.Kind == keys.KindAdmin {
		return "admin key"
	}
	return "key"
}

func (m *Model) endsText() string {
	ends, err := m.form.draft.ends(m.now)
	switch {
	case err != nil:
		return ""
	case ends.IsZero():
		return "; it never ends"
	}
	return "; ends " + m.when(ends)
}

// warningText comes at the last field: what is allowed and seldom meant.
func (m *Model) warningText() string {
	if warnings := m.form.draft.warnings(m.now); len(warnings) > 0 {
		return ". Mind: " + strings.Join(warnings, "; ")
	}
	return ""
}

func (m *Model) formBindings() []key.Binding {
	b := m.bind
	submit, next, does := b.Submit, b.NextField, "issue"
	if m.form.of != nil {
		does = "save"
	}
	submit.SetHelp("ctrl+s", does)
	preset := b.Preset
	label := m.form.focused().label
	preset.SetEnabled(label == labelExpires || label == labelKind)
	if label == labelLast {
		submit.SetHelp("enter", does)
		next.SetEnabled(false)
	}
	return []key.Binding{submit, bind("esc", "cancel", "esc"), next, b.PrevField, preset}
}
