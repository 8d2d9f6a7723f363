package tui

import (
	"errors"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
)

var (
	errNothingDiffers = errors.New("nothing to save: change a field, or leave with esc")
	errMeanwhile      = errors.New("another user changed this key: the form now shows their version with your changes; check it, then save")
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

// askEdit shows the changes and asks whether to save them.
func (m *Model) askEdit() tea.Cmd {
	f := m.form
	req, err := f.draft.edit(f.of, m.now)
	if f.err = err; err != nil {
		return nil
	}
	m.openDialog(f.of, deed{
		title: "Save these changes?", yes: "save", doing: "saving…", done: "changed", back: roomForm, takes: always,
		shows: m.changes(f.of, req),
		mind: func() string {
			return "The changes apply from the next request on." + newWarnings(f.of.Warnings(m.now), f.draft.warnings(m.now))
		},
		does: func(id, _ string) tea.Cmd { return editKey(m.manager, id, req) },
	})
	return nil
}

// changes are the fields of k that req changes.
func (m *Model) changes(k *keys.Key, req admin.EditRequest) []field {
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

// difference lists what is removed and what is added.
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

// newWarnings are the warnings that the key did not have before.
func newWarnings(had, warnings []string) string {
	warnings = slices.DeleteFunc(warnings, func(w string) bool { return slices.Contains(had, w) })
	if len(warnings) == 0 {
		return ""
	}
	return " Warning: " + strings.Join(warnings, "; ")
}

// onReread puts the user's changes on top of the key as it is now.
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

// draftOf fills a draft from an existing key.
func draftOf(k *keys.Key) draft {
	d := draft{
		name: k.Name, owner: k.Owner, ordinary: k.Kind == keys.KindKey,
		audience: strings.Join(k.Audience, " "), expires: "never",
	}
	var tools, prompts, others []string
	for _, scope := range k.Scopes {
		if glob, ok := globOf(scope, mcpscope.ToolPattern); ok {
			tools = append(tools, glob)
		} else if glob, ok := globOf(scope, mcpscope.PromptPattern); ok {
			prompts = append(prompts, glob)
		} else {
			others = append(others, scope)
		}
	}
	d.tools, d.prompts, d.scopes = strings.Join(tools, " "), strings.Join(prompts, " "), strings.Join(others, " ")
	if !k.ExpiresAt.IsZero() {
		d.expires = k.ExpiresAt.UTC().Format(time.RFC3339)
	}
	if !k.RateLimit.IsZero() {
		d.rate = k.RateLimit.String()
	}
	return d
}

// globOf returns the text that pattern turns into scope, if there is one.
func globOf(scope string, pattern func(string) string) (string, bool) {
	glob := strings.TrimPrefix(scope, pattern(""))
	return glob, glob != "" && pattern(glob) == scope
}

// edit returns a request with only the fields in which the draft differs from k.
func (d *draft) edit(k *keys.Key, now time.Time) (admin.EditRequest, error) {
	was := draftOf(k)
	req := admin.EditRequest{IfVersion: k.Version}
	if err := d.check(); err != nil {
		return req, err
	}
	if d.name != was.name {
		req.Name = new(d.name)
	}
	if d.owner != was.owner {
		req.Owner = new(d.owner)
	}
	if scopes := d.granted(); !sameSet(scopes, k.Scopes) {
		req.Scopes = &scopes
	}
	if audience := strings.Fields(d.audience); !sameSet(audience, k.Audience) {
		req.Audience = &audience
	}
	if d.rate != was.rate {
		limit, _ := d.limit() // checked in check
		req.RateLimit = &limit
	}
	if d.expires != was.expires {
		expires, err := d.newExpiry(now)
		if err != nil {
			return req, err
		}
		req.Expires = &expires
	}
	if req == (admin.EditRequest{IfVersion: k.Version}) {
		return req, errNothingDiffers
	}
	return req, req.Validate()
}

// newExpiry parses the new expiry of a key.
func (d *draft) newExpiry(now time.Time) (keys.Expiry, error) {
	expires, err := keys.ParseExpiry(d.expires)
	if err != nil {
		return expires, err
	}
	if err := (admin.EditRequest{Expires: &expires}).Validate(); err != nil {
		return expires, err
	}
	_, err = expires.At(now)
	return expires, err
}

func sameSet(a, b []string) bool {
	subset := func(a, b []string) bool {
		return !slices.ContainsFunc(a, func(text string) bool { return !slices.Contains(b, text) })
	}
	return subset(a, b) && subset(b, a)
}

// rebase takes the fields of fresh where the user did not change them.
func (d *draft) rebase(was, fresh draft) {
	mine, old, theirs := d.texts(), was.texts(), fresh.texts()
	for i := range mine {
		if *mine[i] == *old[i] {
			*mine[i] = *theirs[i]
		}
	}
}

func (d *draft) texts() []*string {
	return []*string{&d.name, &d.owner, &d.tools, &d.prompts, &d.scopes, &d.audience, &d.expires, &d.rate}
}
