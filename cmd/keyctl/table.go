package main

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// printKeys writes a list in the format that was asked for.
func (a *app) printKeys(found keys.Page) error {
	now := a.now()
	switch a.output {
	case formatJSON, formatJSONL:
		return a.printKeysJSON(found, now)
	case formatCSV:
		return a.print(keysCSV(found, now))
	case formatName:
		var b strings.Builder
		for _, k := range found.Keys {
			b.WriteString(k.ID + "\n")
		}
		return a.print(b.String())
	}
	if len(found.Keys) == 0 {
		return nil
	}
	return a.print(a.keysTable(found, now))
}

func (a *app) printKeysJSON(found keys.Page, now time.Time) error {
	all := make([]listedJSON, 0, len(found.Keys))
	for _, k := range found.Keys {
		all = append(all, listedJSON{newKeyJSON(k, now), lastUsedOf(&found, k.ID), slices.Contains(found.Tampered, k.ID)})
	}
	if a.output == formatJSON {
		return a.printJSON(all)
	}
	for _, one := range all {
		if err := a.printJSON(one); err != nil {
			return err
		}
	}
	return nil
}

// changed stands in the place of a status that must not be believed.
const changed = "changed"

// The columns of the table, and the gap between two.
const (
	colName = iota
	colID
	colOwner
	colAudience // empty when no key has one
	colEnds
	colUsed
	colStatus
	colScopes
	columns

	gap = 2
)

// keysTable lays keys out in lines that never fill more than the screen.
func (a *app) keysTable(found keys.Page, now time.Time) string {
	rows := [][columns]string{{"NAME", "ID", "OWNER", "", "EXPIRES", "LAST USED", "STATUS", "SCOPES"}}
	bound := slices.ContainsFunc(found.Keys, func(k *keys.Key) bool { return len(k.Audience) > 0 })
	if bound {
		rows[0][colAudience] = "AUDIENCE"
	}
	for _, k := range found.Keys {
		ends := "never"
		if !k.ExpiresAt.IsZero() {
			ends = wording.Relative(k.ExpiresAt, now)
		}
		scopes, status := wording.Clean(words(k.Scopes, "-")), wording.Status(k.Status(now))
		if slices.Contains(found.Tampered, k.ID) {
			status = "! " + changed
		}
		audience := ""
		if bound {
			audience = wording.Clean(words(k.Audience, "-"))
		}
		rows = append(rows, [columns]string{wording.Clean(k.Name), wording.Clean(k.ID), wording.Clean(k.Owner), audience, ends, lastUsedOf(&found, k.ID).relative(now), status, scopes})
	}
	widths := columnWidths(rows, a.width(a.stdout)-1)
	var b strings.Builder
	for i, r := range rows {
		if i > 0 && widths[colScopes] > 0 {
			r[colScopes] = scopesWithin(found.Keys[i-1].Scopes, widths[colScopes])
		}
		var line strings.Builder
		for col, text := range r {
			if widths[col] > 0 {
				line.WriteString(fit(text, widths[col]) + strings.Repeat(" ", gap))
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// columnWidths gives every column what it needs. Where that is more than the
// screen, scopes keep a sixth of it, and owner, audience and name give way; where that is
// not enough, scopes, owner, the last use and audience are left out in turn, which is a
// width of zero. The id is always whole: it is what other commands take.
func columnWidths(rows [][columns]string, screen int) [columns]int {
	var widths [columns]int
	for _, r := range rows {
		for col, text := range r {
			widths[col] = max(widths[col], cells(text))
		}
	}
	const leastName, leastOwner, leastAudience, leastScopes = 18, 8, 8, 8
	share := min(widths[colScopes], screen/6)
	left := func() int { return screen - filled(widths) + widths[colScopes] }
	shrink(&widths[colOwner], leastOwner, share-left())
	shrink(&widths[colAudience], leastAudience, share-left())
	shrink(&widths[colName], leastName, share-left())
	if widths[colScopes] = left(); widths[colScopes] < min(leastScopes, share) {
		widths[colScopes] = 0
	}
	for _, col := range []int{colOwner, colUsed, colAudience} {
		if filled(widths) > screen {
			widths[col] = 0
		}
	}
	shrink(&widths[colName], 4, filled(widths)-screen)
	return widths
}

// filled is how many columns of the screen a line takes.
func filled(widths [columns]int) int {
	n := -gap
	for _, w := range widths {
		if w > 0 {
			n += w + gap
		}
	}
	return n
}

// shrink takes up to by off width, and leaves least.
func shrink(width *int, least, by int) {
	if by > 0 {
		*width = max(min(*width, least), *width-by)
	}
}

// scopesWithin shows as many whole scopes as fit, and how many more there are.
func scopesWithin(scopes []string, width int) string {
	if len(scopes) == 0 {
		return "-"
	}
	text := wording.Clean(strings.Join(scopes, " "))
	if cells(text) <= width {
		return text
	}
	for n := len(scopes) - 1; n > 0; n-- {
		short := wording.Clean(strings.Join(scopes[:n], " ")) + fmt.Sprintf(" … +%d", len(scopes)-n)
		if cells(short) <= width {
			return short
		}
	}
	more := ""
	if len(scopes) > 1 {
		more = fmt.Sprintf(" +%d", len(scopes)-1)
	}
	return cut(wording.Clean(scopes[0]), width-1-len(more)) + "…" + more
}

// keysCSV writes a header and a row a key.
func keysCSV(found keys.Page, now time.Time) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"id", "name", "owner", "kind", "scopes", "audience", "created_at", "expires_at", "status", "last_used_at"})
	for _, k := range found.Keys {
		ends := ""
		if !k.ExpiresAt.IsZero() {
			ends = k.ExpiresAt.Format(time.RFC3339Nano)
		}
		status := string(k.Status(now))
		if slices.Contains(found.Tampered, k.ID) {
			status = changed
		}
		cells := []string{
			k.ID, k.Name, k.Owner, string(k.Kind), strings.Join(k.Scopes, " "), strings.Join(k.Audience, " "),
			k.CreatedAt.Format(time.RFC3339Nano), ends, status, lastUsedOf(&found, k.ID).csv(),
		}
		for i := range cells {
			cells[i] = csvCell(cells[i])
		}
		_ = w.Write(cells) // into memory: cannot fail
	}
	w.Flush()
	return b.String()
}

// csvCell is a cell as CSV shows it: CSV reaches terminals too, and unlike JSON it has
// no way to write what a terminal would obey.
func csvCell(cell string) string { return wording.Clean(noFormula(cell)) }

// noFormula puts an apostrophe before a cell that a spreadsheet would run.
func noFormula(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
