package main

import (
	"encoding/csv"
	"fmt"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// printKeys writes a list in the format that was asked for.
func (a *app) printKeys(found []*keys.Key) error {
	now := a.now()
	switch a.output {
	case formatJSON:
		all := make([]keyJSON, 0, len(found))
		for _, k := range found {
			all = append(all, newKeyJSON(k, now))
		}
		return a.printJSON(all)
	case formatJSONL:
		for _, k := range found {
			if err := a.printJSON(newKeyJSON(k, now)); err != nil {
				return err
			}
		}
		return nil
	case formatCSV:
		return a.print(keysCSV(found, now))
	case formatName:
		var b strings.Builder
		for _, k := range found {
			b.WriteString(k.ID + "\n")
		}
		return a.print(b.String())
	}
	if len(found) == 0 {
		return nil
	}
	return a.print(a.keysTable(found, now))
}

// glyphs go before the word of a status, so that a table can be skimmed.
var glyphs = map[keys.Status]string{
	keys.StatusActive: "●", keys.StatusExpiring: "◐", keys.StatusExpired: "○",
	keys.StatusDisabled: "◌", keys.StatusRevoked: "✗",
}

func statusWord(s keys.Status) string { return glyphs[s] + " " + string(s) }

// keysTable lays keys out in columns that together never fill more than the
// screen. The id is always whole, name and owner give way to each other, and
// scopes take what is left.
func (a *app) keysTable(found []*keys.Key, now time.Time) string {
	const gap = 2
	rows := [][]string{{"NAME", "ID", "OWNER", "EXPIRES", "STATUS", "SCOPES"}}
	for _, k := range found {
		ends := "never"
		if !k.ExpiresAt.IsZero() {
			ends = relative(k.ExpiresAt, now)
		}
		rows = append(rows, []string{clean(k.Name), clean(k.ID), clean(k.Owner), ends, statusWord(k.Status(now)), ""})
	}
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, text := range r {
			widths[i] = max(widths[i], cells(text))
		}
	}
	widths[0], widths[2] = min(widths[0], 20), min(widths[2], 12)
	last := len(widths) - 1
	left := a.width() - 1
	for _, w := range widths[:last] {
		left -= w + gap
	}
	var b strings.Builder
	for i, r := range rows {
		if i > 0 {
			r[last] = scopesWithin(found[i-1].Scopes, left)
		}
		var line strings.Builder
		for col, text := range r[:last] {
			line.WriteString(fit(text, widths[col]) + strings.Repeat(" ", gap))
		}
		b.WriteString(strings.TrimRight(line.String()+r[last], " ") + "\n")
	}
	return b.String()
}

// scopesWithin shows as many whole scopes as fit, and how many more there are.
func scopesWithin(scopes []string, width int) string {
	if len(scopes) == 0 {
		return "-"
	}
	text := clean(strings.Join(scopes, " "))
	if cells(text) <= width {
		return text
	}
	for n := len(scopes) - 1; n > 0; n-- {
		short := clean(strings.Join(scopes[:n], " ")) + fmt.Sprintf(" … +%d", len(scopes)-n)
		if cells(short) <= width {
			return short
		}
	}
	more := ""
	if len(scopes) > 1 {
		more = fmt.Sprintf(" +%d", len(scopes)-1)
	}
	return cut(clean(scopes[0]), width-1-len(more)) + "…" + more
}

// keysCSV writes a header and a row a key. A cell that a spreadsheet would take for
// a formula gets an apostrophe before it.
func keysCSV(found []*keys.Key, now time.Time) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"id", "name", "owner", "kind", "scopes", "audience", "created_at", "expires_at", "status"})
	for _, k := range found {
		ends := ""
		if !k.ExpiresAt.IsZero() {
			ends = k.ExpiresAt.Format(time.RFC3339Nano)
		}
		cells := []string{
			k.ID, k.Name, k.Owner, string(k.Kind), strings.Join(k.Scopes, " "), strings.Join(k.Audience, " "),
			k.CreatedAt.Format(time.RFC3339Nano), ends, string(k.Status(now)),
		}
		for i := range cells {
			cells[i] = noFormula(cells[i])
		}
		_ = w.Write(cells) // into memory: cannot fail
	}
	w.Flush()
	return b.String()
}

func noFormula(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
