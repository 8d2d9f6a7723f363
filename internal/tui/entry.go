package tui

import (
	"charm.land/huh/v2"

	"github.com/mcpkeys/mcpkeys/keys"
)

// entry is one line of the form.
type entry struct {
	label string
	hint  string
	text  *string
	check func() error
	field *huh.Input // nil for the kind, which is chosen and not typed
}

// The names of fields that the form treats in a way of their own.
const (
	labelKind    = "kind"
	labelExpires = "expires"
	labelLast    = "rate"
)

// make builds the huh field behind the entry. huh asks for the text's validity after
// the text has reached the draft.
func (e *entry) make(d *draft) huh.Field {
	if e.text == nil {
		return huh.NewConfirm().Key(e.label).Title(gutter + e.label).Inline(true).
			Affirmative(string(keys.KindKey)).Negative(string(keys.KindAdmin)).Value(&d.ordinary)
	}
	e.field = huh.NewInput().Key(e.label).Title(gutter + e.label).Inline(true).Prompt(" ").
		Value(e.text).Validate(func(string) error { return e.check() })
	return e.field
}

// dress masks a text that looks like a key, and marks one that was left as it cannot
// stay.
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

// grants reports whether the field is one of those that scopes are made of.
func (e *entry) grants() bool {
	return e.label == "tools" || e.label == "prompts" || e.label == "scopes"
}
