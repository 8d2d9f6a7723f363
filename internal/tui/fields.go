package tui

import (
	"fmt"
	"maps"
	"slices"

	"charm.land/lipgloss/v2"

	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// field is one line of a key: a name, and what it is.
type field struct {
	name  string
	text  string
	style lipgloss.Style
}

// fields is all that is known of k.
func (m *Model) fields(k *keys.Key) []field {
	t := m.theme
	status := k.Status(m.now)
	out := append([]field{{"status", wording.Status(status), t.status(status)}}, m.ended(k)...)
	out = append(out, []field{
		{"id", k.ID, t.plain},
		{"kind", string(k.Kind), t.plain},
		{"owner", orDash(k.Owner), t.plain},
		m.expiryField(k),
	}...)
	out = append(out, m.useFields(k)...)
	out = append(out, listed("scopes", k.Scopes, "none", t.plain)...)
	everywhere := "every server, none is named"
	if k.Kind == keys.KindAdmin {
		everywhere = "every audience"
	}
	out = append(out, listed("audience", k.Audience, everywhere, t.plain)...)
	ips := make([]string, len(k.AllowedIPs))
	for i, p := range k.AllowedIPs {
		ips[i] = p.String()
	}
	out = append(out, listed("from", ips, "anywhere", t.plain)...)
	rate := "unlimited"
	if !k.RateLimit.IsZero() {
		rate = k.RateLimit.String()
	}
	out = append(out,
		field{"rate", rate, t.plain},
		field{"created", m.when(k.CreatedAt), t.plain},
		field{"by", orDash(k.CreatedBy), t.plain},
	)
	for _, name := range slices.Sorted(maps.Keys(k.Metadata)) {
		out = append(out, field{"meta", name + "=" + k.Metadata[name], t.plain})
	}
	for i, s := range k.Secrets {
		text := fmt.Sprintf("%d of %d, made %s", i+1, len(k.Secrets), wording.Date(s.CreatedAt, m.opts.Zone))
		if !s.ExpiresAt.IsZero() {
			text += ", good until " + m.when(s.ExpiresAt)
		}
		if imported := wording.Imported(&s); imported != "" {
			text += ", " + imported
		}
		out = append(out, field{"secret", text, t.plain})
	}
	return append(out, field{"version", fmt.Sprint(k.Version), t.plain})
}

// useFields tells when, from where and by what the key was last used, and how often in
// the last day, hour by hour.
func (m *Model) useFields(k *keys.Key) []field {
	t, u := m.theme, m.detail.usage
	if m.detail.id != k.ID { // not read by itself yet
		u = nil
		if l, used := m.list.used[k.ID]; used {
			return []field{{"used", m.when(l.At), t.plain}}
		}
	}
	if u == nil {
		return nil
	}
	l := u.LastUsed()
	if l.At.IsZero() {
		return append([]field{{"used", "never", t.dim}}, m.hourField(u)...)
	}
	text := m.when(l.At)
	if l.ClientIP.IsValid() {
		text += " from " + l.ClientIP.String()
	}
	if l.Agent != "" {
		text += " by " + l.Agent
	}
	if len(k.Secrets) > 1 {
		text += fmt.Sprintf(", secret %d", l.Secret)
	}
	return append([]field{{"used", text, t.plain}}, m.hourField(u)...)
}

// hourField draws the calls of the last day, the hour that is under way included.
func (m *Model) hourField(u *keys.Usage) []field {
	if u.Calls() == 0 {
		return nil
	}
	hours := u.Hourly(m.now.Add(-keys.UsageSince), m.now)
	return []field{{"24 hours", fmt.Sprintf("%s %d", wording.Sparkline(hours, len(hours)), u.Calls()), m.theme.plain}}
}

func (m *Model) expiryField(k *keys.Key) field {
	if k.ExpiresAt.IsZero() {
		return field{"expires", "never", m.theme.plain}
	}
	style := m.theme.plain
	if k.Status(m.now) == keys.StatusExpiring {
		style = m.theme.warn
	}
	return field{"expires", m.when(k.ExpiresAt), style}
}

// ended tells when and why the key was taken out of use.
func (m *Model) ended(k *keys.Key) []field {
	t := m.theme
	var out []field
	if !k.DisabledAt.IsZero() {
		out = append(out, field{"disabled", m.when(k.DisabledAt), t.plain})
	}
	if !k.RevokedAt.IsZero() {
		out = append(out, field{"revoked", m.when(k.RevokedAt), t.bad}, field{"reason", orDash(k.RevokedReason), t.plain})
	}
	return out
}

// listed gives each text a line of its own.
func listed(name string, texts []string, none string, style lipgloss.Style) []field {
	if len(texts) == 0 {
		return []field{{name, none, style}}
	}
	out := make([]field, len(texts))
	for i, text := range texts {
		out[i] = field{"", text, style}
	}
	out[0].name = name
	return out
}

// nameWidth is the column of names before a key's fields.
const nameWidth = 9

// fieldLines lays fields out in two columns; what does not fit goes on below itself.
func (m *Model) fieldLines(fields []field, width int) []string {
	var lines []string
	for _, f := range fields {
		for i, part := range wrap(wording.Clean(f.text), width-nameWidth) {
			name := ""
			if i == 0 {
				name = f.name
			}
			lines = append(lines, m.theme.dim.Render(fit(name, nameWidth))+f.style.Render(part))
		}
	}
	return lines
}
