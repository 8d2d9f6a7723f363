package tui

import (
	"image/color"

	"charm.land/bubbles/v2/help"
	"charm.land/bubbles/v2/textinput"
	"charm.land/huh/v2"
	"charm.land/lipgloss/v2"

	"github.com/mcpkeys/mcpkeys/keys"
)

// theme is the style for a dark or a light terminal. Everything that a colour shows is also
// shown by glyphs, words or brackets: with NO_COLOR the program only removes the colours.
type theme struct {
	plain, bold, dim, accent lipgloss.Style
	ok, warn, bad            lipgloss.Style
	head, banner, frame      lipgloss.Style
	selected                 color.Color // behind the selected row
}

func newTheme(dark bool) theme {
	pick := lipgloss.LightDark(dark)
	hue := func(onLight, onDark string) lipgloss.Style {
		return lipgloss.NewStyle().Foreground(pick(lipgloss.Color(onLight), lipgloss.Color(onDark)))
	}
	t := theme{
		plain:    lipgloss.NewStyle(),
		bold:     lipgloss.NewStyle().Bold(true),
		dim:      hue("#5d6475", "#8d95ad"),
		accent:   hue("#2456b3", "#8ab4ff"),
		ok:       hue("#2c7a1f", "#9bd36a"),
		warn:     hue("#8f5b00", "#f0b35c"),
		bad:      hue("#b3261e", "#ff8091"),
		selected: pick(lipgloss.Color("#dde7fb"), lipgloss.Color("#343b52")),
	}
	t.head = t.dim.Bold(true)
	t.banner = t.bad.Bold(true)
	t.frame = lipgloss.NewStyle().Border(lipgloss.RoundedBorder()).
		BorderForeground(t.dim.GetForeground()).Padding(0, 1)
	return t
}

// status is the style of a status and of its glyph.
func (t theme) status(s keys.Status) lipgloss.Style {
	switch s {
	case keys.StatusActive:
		return t.ok
	case keys.StatusExpiring:
		return t.warn
	case keys.StatusExpired, keys.StatusRevoked:
		return t.bad
	}
	return t.dim
}

func (t theme) help() help.Styles {
	return help.Styles{
		ShortKey: t.accent, ShortDesc: t.dim, ShortSeparator: t.dim, Ellipsis: t.dim,
		FullKey: t.accent, FullDesc: t.plain, FullSeparator: t.dim,
	}
}

func (t theme) input() textinput.Styles {
	state := textinput.StyleState{Text: t.plain, Placeholder: t.dim, Suggestion: t.dim, Prompt: t.accent}
	return textinput.Styles{
		Focused: state, Blurred: state,
		Cursor: textinput.CursorStyle{Color: t.accent.GetForeground(), Blink: true},
	}
}

// labelWidth is the column of names before the fields of the form.
const labelWidth = 12

func (t theme) form() *huh.Styles {
	s := huh.ThemeBase(true)
	s.FieldSeparator = lipgloss.NewStyle().SetString("\n")
	label := lipgloss.NewStyle().Width(labelWidth)
	bracket := func(text string) string { return "[" + text + "]" }
	space := func(text string) string { return " " + text + " " }
	field := func(f *huh.FieldStyles, title lipgloss.Style) {
		f.Title = title.Inherit(label)
		f.ErrorIndicator, f.ErrorMessage = t.plain, t.bad
		f.TextInput = huh.TextInputStyles{Cursor: t.accent, Placeholder: t.dim, Prompt: t.accent, Text: t.plain}
		f.FocusedButton = t.bold.Transform(bracket)
		f.BlurredButton = t.dim.Transform(space)
	}
	field(&s.Focused, t.bold)
	field(&s.Blurred, t.dim)
	s.Focused.Base = s.Focused.Base.BorderForeground(t.accent.GetForeground())
	s.Blurred.Base = s.Focused.Base.BorderStyle(lipgloss.HiddenBorder())
	return s
}
