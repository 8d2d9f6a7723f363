package tui

import (
	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// openRevoke asks whether to revoke the selected key. It does not ask about a revoked one.
func (m *Model) openRevoke() {
	k := m.list.selected()
	switch {
	case k == nil:
		return
	case k.Status(m.now) == keys.StatusRevoked:
		m.toast.show(m.now, wording.Clean(k.Label())+" was revoked "+wording.Relative(k.RevokedAt, m.now)+"; nothing to do")
		return
	}
	about := m.withReason(deed{
		title: "Revoke this key?", yes: "revoke", doing: "revoking…", done: "revoked", takes: always,
		mind: func() string { return "It is refused from now on. This cannot be undone." },
		does: func(id, reason string) tea.Cmd { return revokeKey(m.manager, id, reason) },
	})
	about.shows = m.standing(k)
	m.openDialog(k, about)
}

// withReason adds an optional reason to the dialog.
func (m *Model) withReason(about deed) deed {
	about.asks, about.hint = "reason", "for the audit log; optional"
	about.check = func(text string) error { return keys.ValidateText("reason", text) }
	return about
}

// standing are fields that help to recognize the key.
func (m *Model) standing(k *keys.Key) []field {
	const twoLines = 2 * 45
	return []field{
		{"created", m.when(k.CreatedAt), m.theme.plain},
		{"scopes", some(k.Scopes, twoLines), m.theme.plain},
	}
}

// barred says why a key can no longer be changed except by revoking it; it is empty if the key
// can be changed.
func (m *Model) barred(k *keys.Key) string {
	switch {
	case k.Status(m.now) == keys.StatusRevoked:
		return wording.Clean(k.Label()) + " was revoked " + wording.Relative(k.RevokedAt, m.now) + ", which is final"
	case m.list.tampered[k.ID]:
		return wording.Clean(k.Label()) + " was changed outside mcpkeys: revoke it (x)"
	}
	return ""
}
