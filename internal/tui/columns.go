package tui

import (
	"slices"
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// columns fits the list's columns to a width: names and scopes share what the fixed
// ones leave, and on a narrow screen the last ones go.
func (m *Model) columns(width int) []column {
	status := column{"STATUS", 10, func(k *keys.Key) (string, lipgloss.Style) {
		if m.list.tampered[k.ID] { // what the row says of itself is not to be believed
			return "! changed", m.theme.warn
		}
		s := k.Status(m.now)
		return wording.Status(s), m.theme.status(s)
	}}
	name := column{"NAME", 0, m.nameCell}
	owner := column{"OWNER", 0, func(k *keys.Key) (string, lipgloss.Style) { return orDash(k.Owner), m.textStyle(k) }}
	expires := column{"EXPIRES", 8, m.expiresCell}
	scopes := column{"SCOPES", 0, func(k *keys.Key) (string, lipgloss.Style) {
		return orDash(strings.Join(k.Scopes, " ")), m.theme.dim
	}}
	created := column{"CREATED", 8, func(k *keys.Key) (string, lipgloss.Style) {
		return wording.Relative(k.CreatedAt, m.now), m.theme.dim
	}}
	used := column{"LAST USED", 9, m.usedCell}
	id := column{"ID", keys.IDLen, func(k *keys.Key) (string, lipgloss.Style) { return k.ID, m.theme.dim }}

	columns := []column{status, name, owner, expires}
	if width >= 72 {
		columns = []column{status, name, owner, scopes, expires, used}
	}
	if width >= 92 {
		columns = append(columns, created)
	}
	if width >= 124 {
		columns = slices.Insert(columns, 1, id)
	}
	m.share(columns, width)
	return columns
}

// share gives names what they need, up to a limit, and scopes what is left. Where that
// is too little, names give way to each other.
func (m *Model) share(columns []column, width int) {
	left, scopes := width-2+columnGap, 0
	for _, c := range columns {
		left -= c.width + columnGap
	}
	if slices.ContainsFunc(columns, func(c column) bool { return c.title == "SCOPES" }) {
		scopes = max(10, left/4)
	}
	name, owner := min(m.list.nameWidth, 32), min(m.list.ownerWidth, 24)
	if over := name + owner + scopes - left; over > 0 {
		fromOwner := min(over/2, max(0, owner-8))
		owner -= fromOwner
		name = max(8, name-(over-fromOwner))
	}
	for i := range columns {
		switch columns[i].title {
		case "NAME":
			columns[i].width = name
		case "OWNER":
			columns[i].width = owner
		case "SCOPES":
			columns[i].width = left - name - owner
		}
	}
}

// textStyle is for what a person looks for; keys that are over step back.
func (m *Model) textStyle(k *keys.Key) lipgloss.Style {
	switch k.Status(m.now) {
	case keys.StatusActive, keys.StatusExpiring:
		return m.theme.plain
	}
	return m.theme.dim
}

func (m *Model) nameCell(k *keys.Key) (string, lipgloss.Style) {
	return nameText(k), m.textStyle(k)
}

// nameText tells the other kind of key apart.
func nameText(k *keys.Key) string {
	if k.Kind == keys.KindAdmin {
		return k.Name + " (admin)"
	}
	return k.Name
}

// usedCell says never only of keys of which that is known.
func (m *Model) usedCell(k *keys.Key) (string, lipgloss.Style) {
	l, used := m.list.used[k.ID]
	switch {
	case used:
		return wording.Relative(l.At, m.now), m.theme.dim
	case m.list.used == nil:
		return "?", m.theme.dim
	}
	return "never", m.theme.dim
}

func (m *Model) expiresCell(k *keys.Key) (string, lipgloss.Style) {
	switch {
	case k.Status(m.now) == keys.StatusRevoked:
		return "-", m.theme.dim
	case k.ExpiresAt.IsZero():
		return "never", m.theme.dim
	}
	style := m.theme.dim
	if k.Status(m.now) == keys.StatusExpiring {
		style = m.theme.warn
	}
	return wording.Relative(k.ExpiresAt, m.now), style
}
