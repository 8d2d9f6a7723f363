package tui

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// detail is the selected key read by itself, because a list does not check seals. At most one
// read runs at a time, however fast the selection moves.
type detail struct {
	id      string // of the key that was read
	key     *keys.Key
	usage   *usage.Usage // of the last day; nil if it is not known
	err     error
	reading bool
	stale   bool // the list was read since
	scroll  int  // of the whole-screen view
}

// readDetail reads the selected key unless it was read already.
func (m *Model) readDetail() tea.Cmd {
	d, k := &m.detail, m.list.selected()
	if k == nil || d.reading || (d.id == k.ID && !d.stale) {
		return nil
	}
	d.reading = true
	return readKey(m.manager, k.ID, m.now.Add(-usage.DefaultSince))
}

func (m *Model) onKeyRead(msg keyMsg) tea.Cmd {
	m.detail.reading, m.detail.stale = false, false
	m.detail.id, m.detail.key, m.detail.usage, m.detail.err = msg.id, msg.key, msg.usage, msg.err
	return m.readDetail() // another key may be selected by now
}

func (m *Model) openDetail() {
	if m.list.selected() != nil {
		m.room, m.detail.scroll = roomDetail, 0
	}
}

func (m *Model) keyDetail(msg tea.KeyPressMsg) tea.Cmd {
	if cmd, ok := m.keyAnywhere(msg); ok {
		return cmd
	}
	switch {
	case key.Matches(msg, m.bind.Back):
		m.room = roomTable
	case key.Matches(msg, m.bind.Up):
		m.detail.scroll--
	case key.Matches(msg, m.bind.Down):
		m.detail.scroll++
	case key.Matches(msg, m.bind.PageUp):
		m.detail.scroll -= m.bodyHeight()
	case key.Matches(msg, m.bind.PageDown):
		m.detail.scroll += m.bodyHeight()
	case key.Matches(msg, m.bind.First):
		m.detail.scroll = 0
	}
	return nil
}

// detailScreen shows the selected key on the whole screen, scrolled if it is longer than that.
func (m *Model) detailScreen(width, height int) []string {
	k := m.list.selected()
	if k == nil {
		return []string{"", centred(m.theme.bold.Render("This key is no longer listed"), width), centred(m.theme.dim.Render("esc goes back"), width)}
	}
	lines := append([]string{""}, m.detailLines(k, width-4)...)
	m.detail.scroll = max(0, min(m.detail.scroll, len(lines)-height))
	lines = lines[m.detail.scroll:]
	if len(lines) > height {
		lines = append(slices.Clone(lines[:height-1]), m.theme.dim.Render("… ↓ shows more"))
	}
	return indent(lines, 2)
}

// detailPane shows as much of the selected key as fits, in one column or two.
func (m *Model) detailPane(width, height, columns int) []string {
	k := m.list.selected()
	if k == nil {
		return block([]string{"", m.theme.dim.Render("  no key is selected")}, width, height)
	}
	if columns == 1 {
		return block(m.withMore(m.detailLines(k, width-1), height), width, height)
	}
	inner := (width - 3) / columns
	left := m.titleLines(k, inner)
	fields := m.fields(m.whole(k))
	for len(fields) > 0 {
		n := 1
		for n < len(fields) && fields[n].name == "" { // a list stays together
			n++
		}
		next := m.fieldLines(fields[:n], inner)
		if len(left)+len(next) > height {
			break
		}
		left, fields = append(left, next...), fields[n:]
	}
	left = block(left, inner, height)
	right := block(m.withMore(append([]string{""}, m.fieldLines(fields, inner)...), height), inner, height)
	for i := range left {
		left[i] = " " + left[i] + "  " + right[i]
	}
	return left
}

// withMore cuts lines to height and says that there are more.
func (m *Model) withMore(lines []string, height int) []string {
	if len(lines) <= height {
		return lines
	}
	return append(slices.Clone(lines[:height-1]), m.theme.dim.Render("… enter shows all"))
}

func indent(lines []string, by int) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = strings.Repeat(" ", by) + line
	}
	return out
}

// whole returns k as it was last read by itself, or else as it is in the list.
func (m *Model) whole(k *keys.Key) *keys.Key {
	if m.detail.id == k.ID && m.detail.key != nil {
		return m.detail.key
	}
	return k
}

// detailLines are all lines about k.
func (m *Model) detailLines(k *keys.Key, width int) []string {
	return append(m.titleLines(k, width), m.fieldLines(m.fields(m.whole(k)), width)...)
}

func (m *Model) titleLines(k *keys.Key, width int) []string {
	title := ansi.Truncate(wording.Clean(m.whole(k).Label()), width, "…")
	return append(m.doubt(k, width), m.theme.bold.Render(title))
}

// doubt says that k was changed outside mcpkeys, or that it could not be read.
func (m *Model) doubt(k *keys.Key, width int) []string {
	if m.detail.id != k.ID || m.detail.err == nil {
		return nil
	}
	text := "this key could not be read: " + m.detail.err.Error()
	if errors.Is(m.detail.err, keys.ErrTampered) {
		text = "CHANGED OUTSIDE MCPKEYS: guards refuse this key, and do not trust what is below. Revoke it, or restore the database from a backup."
	}
	var lines []string
	for _, line := range wrap("✗ "+wording.Clean(text), width) {
		lines = append(lines, m.theme.banner.Render(line))
	}
	return append(lines, "")
}

// field is one line of a key: a name and a value.
type field struct {
	name  string
	text  string
	style lipgloss.Style
}

// fields are all fields of k.
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
	everywhere := "every server"
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
			text += ", valid until " + m.when(s.ExpiresAt)
		}
		if imported := wording.Imported(&s); imported != "" {
			text += ", " + imported
		}
		out = append(out, field{"secret", text, t.plain})
	}
	return append(out, field{"version", fmt.Sprint(k.Version), t.plain})
}

// useFields says when, from where and by which client the key was last used, and how often in
// each hour of the last day.
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

// hourField draws the calls of the last day by the hour, including the current hour.
func (m *Model) hourField(u *usage.Usage) []field {
	if u.Calls() == 0 {
		return nil
	}
	hours := u.Hourly(m.now.Add(-usage.DefaultSince), m.now)
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

// ended says when the key was disabled or revoked, and why.
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

// fieldLines lays fields out in two columns; a long value continues below itself.
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
