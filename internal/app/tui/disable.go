package tui

import (
	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// openToggle asks whether to disable the selected key, or to enable it if it is disabled.
func (m *Model) openToggle() {
	k := m.list.selected()
	if k == nil {
		return
	}
	switch why := m.barred(k); {
	case why != "":
		m.toast.show(m.now, why)
	case k.Status(m.now) == keys.StatusExpired:
		m.toast.show(m.now, wording.Clean(k.Label())+" has expired: it is refused already")
	case k.Status(m.now) == keys.StatusDisabled:
		m.openDialog(k, m.enableDeed(k))
	default:
		m.openDialog(k, m.disableDeed(k))
	}
}

func (m *Model) disableDeed(k *keys.Key) deed {
	about := m.withReason(deed{
		title: "Disable this key?", yes: "disable", doing: "disabling…", done: "disabled", takes: always,
		mind: func() string { return "It is refused until you enable it again." },
		does: func(id, reason string) tea.Cmd { return disableKey(m.manager, id, reason) },
	})
	about.shows = m.standing(k)
	return about
}

func (m *Model) enableDeed(k *keys.Key) deed {
	return deed{
		title: "Enable this key?", yes: "enable", doing: "enabling…", done: "enabled",
		shows: append([]field{{"disabled", m.when(k.DisabledAt), m.theme.plain}, m.expiryField(k)}, m.standing(k)[1:]...),
		mind: func() string {
			if k.Expired(m.now) {
				return "It has expired, so it is still refused."
			}
			return "It is accepted again at once."
		},
		does: func(id, _ string) tea.Cmd { return enableKey(m.manager, id) },
	}
}

// toggleBinding shows what d does to the selected key.
func (m *Model) toggleBinding() key.Binding {
	b := m.bind.Toggle
	if k := m.list.selected(); k != nil && k.Status(m.now) == keys.StatusDisabled {
		b.SetHelp("d", "enable")
	} else {
		b.SetHelp("d", "disable")
	}
	return b
}
