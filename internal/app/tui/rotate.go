package tui

import (
	"fmt"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// openRotate asks whether to give the selected key a new secret, and for how long the old one
// stays valid.
func (m *Model) openRotate() {
	k := m.list.selected()
	if k == nil {
		return
	}
	switch why := m.barred(k); {
	case why != "":
		m.toast.show(m.now, why)
	case k.Status(m.now) == keys.StatusExpired:
		m.toast.show(m.now, wording.Clean(k.Label())+" has expired: issue a new key (n)")
	case k.Status(m.now) == keys.StatusDisabled:
		m.toast.show(m.now, wording.Clean(k.Label())+" is disabled: enable it first (d)")
	case m.outgoing(k) != nil:
		m.openDialog(k, m.replaceDeed(k))
	default:
		m.openDialog(k, m.rotateDeed(k))
	}
}

func (m *Model) rotateDeed(k *keys.Key) deed {
	usual := fmt.Sprintf("%dh", int(admin.DefaultGrace.Hours()))
	return deed{
		title: "Rotate this key?", yes: "rotate", doing: "rotating…", done: "rotated", secret: true,
		shows: []field{m.expiryField(k)},
		asks:  "grace", text: usual, hint: usual,
		check: func(text string) error { _, err := admin.ParseGrace(text); return err },
		mind:  m.rotateMeans,
		takes: endsAtOnce,
		does: func(id, text string) tea.Cmd {
			grace, _ := admin.ParseGrace(text) // checked before
			return rotateKey(m.manager, id, admin.RotateRequest{Grace: grace})
		},
	}
}

// replaceDeed is for a key with two valid secrets. Yes replaces the secret that the dialog
// names.
func (m *Model) replaceDeed(k *keys.Key) deed {
	old, newest := m.outgoing(k), k.Secrets[len(k.Secrets)-1].Number
	says := fmt.Sprintf("A rotation is under way: secrets %d and %d are both valid. Secret %[1]d ends %[3]s; f ends it now. "+
		"Yes ends secret %[2]d now and makes another.", old.Number, newest, m.when(old.ExpiresAt))
	return deed{
		title: "Replace the newest secret?", yes: "replace", doing: "replacing…", done: "rotated", secret: true, takes: always,
		shows: []field{m.expiryField(k)},
		mind:  func() string { return says },
		does: func(id, _ string) tea.Cmd {
			return rotateKey(m.manager, id, admin.RotateRequest{Replace: newest})
		},
	}
}

// endsAtOnce reports whether a rotation with that grace ends the old secret at once.
func endsAtOnce(text string) bool {
	grace, err := admin.ParseGrace(text)
	return err == nil && grace != nil && *grace == 0
}

// rotateMeans says what happens to the old secret.
func (m *Model) rotateMeans() string {
	if endsAtOnce(m.dialog.text.Value()) {
		return "It gets a new secret, shown once. The old one ends at once: clients that still use it are refused."
	}
	return "It gets a new secret, shown once. The old one stays valid for the grace, but not after the key expires."
}

// outgoing is the old secret of k during a rotation; nil without a rotation.
func (m *Model) outgoing(k *keys.Key) *keys.KeySecret {
	if len(k.Secrets) < 2 || k.Secrets[0].Expired(m.now) {
		return nil
	}
	return &k.Secrets[0]
}

// finishing is the key that ends a rotation.
func (m *Model) finishing() key.Binding {
	b := m.bind.Finish
	d := &m.dialog
	b.SetEnabled((d.deed.yes == "rotate" || d.deed.yes == "replace") && m.outgoing(d.key) != nil)
	return b
}

// wayOut is a hint to add to an error.
func (m *Model) wayOut() string {
	if m.finishing().Enabled() {
		return " (f finishes it)"
	}
	return ""
}

// finishDeed is for a key with an outgoing secret.
func (m *Model) finishDeed(k *keys.Key) deed {
	old := m.outgoing(k).Number
	return deed{
		title: "Finish the rotation?", yes: "finish", doing: "finishing…", done: "changed", takes: always,
		shows: []field{m.oldSecretField(k)},
		mind: func() string {
			return "The old secret ends at once: clients that still use it are refused. The new one stays."
		},
		does: func(id, _ string) tea.Cmd { return finishRotation(m.manager, id, old) },
	}
}

// oldSecretField says how long the old secret stays valid.
func (m *Model) oldSecretField(k *keys.Key) field {
	if old := m.outgoing(k); old != nil {
		return field{"old one", "valid until " + m.when(old.ExpiresAt), m.theme.plain}
	}
	return field{"old one", "ended", m.theme.warn}
}
