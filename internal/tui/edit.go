package tui

import (
	"errors"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

var (
	errNothingDiffers = errors.New("nothing differs from the key as it is: change a field, or leave with esc")
	errMeanwhile      = errors.New("somebody else changed this key meanwhile: the form shows it as it is now, with your changes on top; look again, then save")
)

// openEdit puts the selected key into the form.
func (m *Model) openEdit() tea.Cmd {
	k := m.list.selected()
	if k == nil {
		return nil
	}
	if why := m.barred(k); why != "" {
		m.toast.show(m.now, why)
		return nil
	}
	return m.openForm(draftOf(k), k)
}

// askEdit shows what would change, and asks.
func (m *Model) askEdit() tea.Cmd {
	f := m.form
	req, err := f.draft.edit(f.of, m.now)
	if f.err = err; err != nil {
		return nil
	}
	m.openDialog(f.of, deed{
		title: "Save these changes?", yes: "save", doing: "saving…", done: "changed", back: roomForm,
		shows: m.changes(f.of, req),
		mind: func() string {
			return "It holds from the next request on, for whoever uses it." + newWarnings(f.of.Warnings(m.now), f.draft.warnings(m.now))
		},
		does: func(id, _ string) tea.Cmd { return editKey(m.manager, id, req) },
	})
	return nil
}

// changes are the fields that req makes different about k.
func (m *Model) changes(k *keys.Key, req keys.EditRequest) []field {
	var out []field
	add := func(name, text string) { out = append(out, field{name, text, m.theme.accent}) }
	if req.Name != nil {
		add("name", k.Name+" → "+*req.Name)
	}
	if req.Owner != nil {
		add("owner", orDash(k.Owner)+" → "+orDash(*req.Owner))
	}
	if req.Scopes != nil {
		add("scopes", difference(k.Scopes, *req.Scopes))
	}
	if req.Audience != nil {
		add("audience", difference(k.Audience, *req.Audience))
	}
	if req.Expires != nil {
		was, ends := "never", "never"
		if !k.ExpiresAt.IsZero() {
			was = wording.Date(k.ExpiresAt, m.opts.Zone)
		}
		if at, err := req.Expires.At(m.now); err == nil && !at.IsZero() {
			ends = m.when(at)
		}
		add("expires", was+" → "+ends)
	}
	if req.RateLimit != nil {
		add("rate", rateText(k.RateLimit)+" → "+rateText(*req.RateLimit))
	}
	return out
}

func rateText(limit keys.RateLimit) string {
	if limit.IsZero() {
		return "unlimited"
	}
	return limit.String()
}

// difference is what goes and what comes.
func difference(was, will []string) string {
	var out []string
	for _, text := range was {
		if !slices.Contains(will, text) {
			out = append(out, "−"+text)
		}
	}
	for _, text := range will {
		if !slices.Contains(was, text) {
			out = append(out, "+"+text)
		}
	}
	return strings.Join(out, " ")
}

// newWarnings are those that the key did not deserve before.
func newWarnings(had, warnings []string) string {
	warnings = slices.DeleteFunc(warnings, func(w string) bool { return slices.Contains(had, w) })
	if len(warnings) == 0 {
		return ""
	}
	return " Mind: " + strings.Join(warnings, "; ")
}

// onReread puts the key as it is now under the changes of the user, who saw an older
// one.
func (m *Model) onReread(msg rereadMsg) tea.Cmd {
	m.closeDialog()
	if msg.err != nil {
		m.form.err = msg.err
		return nil
	}
	d := m.form.draft
	d.rebase(draftOf(m.form.of), draftOf(msg.key))
	cmd := m.openForm(d, msg.key)
	m.form.err = errMeanwhile
	return tea.Batch(cmd, m.reload())
}
