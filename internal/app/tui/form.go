package tui

import (
	"slices"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
	"charm.land/huh/v2"
	"charm.land/lipgloss/v2"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// form issues a key or edits one. The texts are in draft; huh moves the cursor through the
// fields.
type form struct {
	draft  draft
	of     *keys.Key // the key as it was when the form was filled in; nil for a new key
	huh    *huh.Form
	inputs []*entry
	theme  theme
	err    error // of the whole form, such as a name that is taken
	busy   bool  // the key is being issued
}

const (
	formWidth = 76
	gutter    = "  " // before a label, for the mark of an invalid field
)

func (m *Model) newForm(of draft, k *keys.Key) *form {
	f := &form{draft: of, of: k, theme: m.theme}
	d := &f.draft
	bare := "; an admin key without scopes gets all admin scopes"
	if k != nil {
		bare = ""
	}
	f.inputs = []*entry{
		{label: "name", text: &d.name, check: d.checkName, hint: "what the key is for, such as ci or nightly-report"},
		{label: "owner", text: &d.owner, check: d.checkOwner, hint: "the team or person responsible for it; optional"},
		{label: labelKind, check: func() error { return nil }, hint: "key: for MCP servers; admin: for the admin API only"},
		{label: "tools", text: &d.tools, check: d.checkScopes, hint: "the tools it may call, such as: get_* search; * stands for any characters"},
		{label: "prompts", text: &d.prompts, check: d.checkScopes, hint: "the prompts it may get; * stands for any characters"},
		{label: "scopes", text: &d.scopes, check: d.checkScopes, hint: "more scopes, such as reports:read" + bare},
		{label: "audience", text: &d.audience, check: d.checkAudience, hint: "the servers it is for, such as weather; empty means every server of this deployment"},
		{label: labelExpires, text: &d.expires, check: func() error { return f.checkExpires(m.now) }, hint: "a duration (90d, 12w, 1y), a date (2027-01-31) or never"},
		{label: labelLast, text: &d.rate, check: d.checkRate, hint: "how often it may call: 60/m, 100/10s, 1000/h:50 with a burst; empty means unlimited"},
	}
	if k != nil { // the kind of a key cannot change
		f.inputs = slices.DeleteFunc(f.inputs, func(e *entry) bool { return e.label == labelKind })
	}
	fields := make([]huh.Field, len(f.inputs))
	for i, e := range f.inputs {
		fields[i] = e.make(d)
	}
	f.huh = huh.NewForm(huh.NewGroup(fields...)).
		WithAccessible(false).WithShowHelp(false).WithShowErrors(false).
		WithKeyMap(noHuhKeys()).WithTheme(huh.ThemeFunc(func(bool) *huh.Styles { return f.theme.form() }))
	f.setSize(m.formSize())
	return f
}

// noHuhKeys leaves huh only the keys that choose the kind. huh moves its cursor by a message
// that arrives later, so letters typed in between would land in the field before; the form
// moves the cursor at once instead.
func noHuhKeys() *huh.KeyMap {
	off := key.NewBinding(key.WithDisabled())
	return &huh.KeyMap{
		Quit:    off,
		Input:   huh.InputKeyMap{AcceptSuggestion: off, Next: off, Prev: off, Submit: off},
		Confirm: huh.ConfirmKeyMap{Next: off, Prev: off, Submit: off, Accept: off, Reject: off, Toggle: bind("", "", "space", "left", "right")},
	}
}

// checkExpires accepts an unchanged expiry, also one in the past.
func (f *form) checkExpires(now time.Time) error {
	if f.of == nil {
		_, err := f.draft.ends(now)
		return err
	}
	if f.draft.expires == draftOf(f.of).expires {
		return nil
	}
	_, err := f.draft.newExpiry(now)
	return err
}

func (f *form) setTheme(t theme) { f.theme = t }

func (f *form) setSize(width, height int) {
	f.huh.WithWidth(width).WithHeight(height)
}

// formSize is the room for the fields.
func (m *Model) formSize() (width, height int) {
	return min(m.width-4, formWidth), max(1, min(9, m.bodyHeight()-4))
}

func (m *Model) openForm(of draft, k *keys.Key) tea.Cmd {
	m.room = roomForm
	m.form = m.newForm(of, k)
	return m.form.huh.Init()
}

func (m *Model) closeForm() {
	m.form = nil
	m.room = roomTable
}

func (m *Model) keyForm(msg tea.KeyPressMsg) tea.Cmd {
	f := m.form
	switch {
	case f.busy:
		return nil
	case msg.Code == tea.KeyEscape:
		m.closeForm()
		return nil
	case key.Matches(msg, m.bind.Submit), msg.Code == tea.KeyEnter && f.focused().label == labelLast:
		return m.submit()
	case key.Matches(msg, m.bind.NextField):
		return m.nextField()
	case key.Matches(msg, m.bind.PrevField):
		return m.prevField()
	case key.Matches(msg, m.bind.Preset) && f.focused().label == labelExpires:
		f.draft.expires = nextPreset(f.draft.expires)
		f.focused().field.Value(f.focused().text)
		return m.formInput(tea.KeyPressMsg{Code: tea.KeyEnd})
	}
	f.err = nil
	return m.formInput(msg)
}

// nextField moves on if the field is valid, and shows its error otherwise.
func (m *Model) nextField() tea.Cmd {
	f := m.form
	if f.err = f.focused().check(); f.err != nil || f.focused().label == labelLast {
		return nil
	}
	return m.formInput(huh.NextField())
}

// prevField moves back, even from an invalid field.
func (m *Model) prevField() tea.Cmd {
	f := m.form
	f.err = nil
	if f.focused() == f.inputs[0] {
		return nil
	}
	return m.formInput(huh.PrevField())
}

// formInput passes msg to huh.
func (m *Model) formInput(msg tea.Msg) tea.Cmd {
	f := m.form
	if f.busy {
		return nil
	}
	model, cmd := f.huh.Update(msg)
	f.huh = model.(*huh.Form)
	for _, e := range f.inputs {
		if e.field != nil {
			e.dress()
		}
	}
	return cmd
}

func (f *form) focused() *entry {
	label := f.huh.GetFocusedField().GetKey()
	for _, e := range f.inputs {
		if e.label == label {
			return e
		}
	}
	return f.inputs[0]
}

// submit issues the key, or asks whether to save the changes, or shows what is invalid.
func (m *Model) submit() tea.Cmd {
	f := m.form
	if f.of != nil {
		return m.askEdit()
	}
	req, err := f.draft.request(m.now)
	if f.err = err; err != nil {
		return nil
	}
	if f.err = m.unready(); f.err != nil {
		return nil
	}
	f.busy = true
	m.ask(true, "key %s may have been issued", req.Name)
	m.unanswered.key = req.Name
	return issue(m.manager, req)
}

// onIssued shows the secret, or after an error the form or the dialog with its texts.
func (m *Model) onIssued(msg issuedMsg) tea.Cmd {
	sent := m.unanswered.sent
	leave := m.answered()
	switch {
	case msg.err != nil && msg.rotated:
		return m.dialogFailed(msg.err)
	case msg.err != nil:
		if m.form != nil {
			m.form.busy, m.form.err = false, msg.err
		}
		return nil
	}
	m.form, m.dialog = nil, dialog{}
	m.openSecret(msg)
	m.secret.effect = m.effect(msg.everywhere, sent)
	if leave { // the user pressed ctrl+c before there was a secret to store
		m.secret.armed, m.secret.quit = m.now, true
	}
	return m.reload()
}

// entry is one line of the form.
type entry struct {
	label string
	hint  string
	text  *string
	check func() error
	field *huh.Input // nil for the kind, which is chosen and not typed
}

// Labels of the fields that the form handles specially.
const (
	labelKind    = "kind"
	labelExpires = "expires"
	labelLast    = "rate"
)

// make builds the huh field of the entry. huh validates the text after it is in the draft.
func (e *entry) make(d *draft) huh.Field {
	if e.text == nil {
		return huh.NewConfirm().Key(e.label).Title(gutter + e.label).Inline(true).
			Affirmative(string(keys.KindKey)).Negative(string(keys.KindAdmin)).Value(&d.ordinary)
	}
	e.field = huh.NewInput().Key(e.label).Title(gutter + e.label).Inline(true).Prompt(" ").
		Value(e.text).Validate(func(string) error { return e.check() })
	return e.field
}

// dress masks a text that looks like a key, and marks a field that was left invalid.
func (e *entry) dress() {
	echo, title := huh.EchoModeNormal, gutter+e.label
	if keys.LooksLikeToken(*e.text) {
		echo = huh.EchoModePassword
	}
	if e.field.Error() != nil {
		title = "✗ " + title
	}
	e.field.EchoMode(echo).Title(title)
}

// grants reports whether the field is one of the three scope fields.
func (e *entry) grants() bool {
	return e.label == "tools" || e.label == "prompts" || e.label == "scopes"
}

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

// formSays is the text below the fields: the hint or error of the field with the cursor.
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
	case e.grants() && len(f.draft.granted()) > 0 && f.draft.checkScopes() == nil: // an invalid text may be a secret
		text = "grants: " + strings.Join(f.draft.granted(), " ")
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
		return "; it never expires"
	}
	return "; expires " + m.when(ends)
}

// warningText warns, at the last field, about settings that are allowed but rarely meant.
func (m *Model) warningText() string {
	if warnings := m.form.draft.warnings(m.now); len(warnings) > 0 {
		return ". Warning: " + strings.Join(warnings, "; ")
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
