package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
)

// keyPrinter prints each page of a list in the format that was asked for, before the next one
// is read. A table is printed at the end.
type keyPrinter struct {
	*app
	now      time.Time
	begun    bool // a page was added
	none     bool // no key was found
	n        int  // keys that were printed
	list     *jsonList
	rows     keys.Page // of a table
	tampered tampered
}

func newKeyPrinter(a *app) *keyPrinter {
	return &keyPrinter{app: a, now: a.now(), none: true, list: newJSONList(a, a.stdout)}
}

func (p *keyPrinter) add(page keys.Page) error {
	first := !p.begun
	p.begun, p.none = true, p.none && len(page.Keys) == 0
	p.tampered.add(page.Tampered)
	switch p.output {
	case formatTable:
		collect(&p.rows, page)
		return nil
	case formatJSON, formatJSONL:
		for _, k := range page.Keys {
			if err := p.list.add(listedJSON{wire.Key(k, p.now), lastUsedOf(&page, k.ID), slices.Contains(page.Tampered, k.ID)}); err != nil {
				return err
			}
		}
		if err := p.list.flush(); err != nil {
			return err
		}
	case formatCSV:
		if err := p.print(keysCSV(page, p.now, first)); err != nil {
			return err
		}
	case formatName:
		var b strings.Builder
		for _, k := range page.Keys {
			b.WriteString(wording.Clean(k.ID) + "\n") // a server may say anything
		}
		if err := p.print(b.String()); err != nil {
			return err
		}
	}
	p.n += len(page.Keys)
	return nil
}

func (p *keyPrinter) end() error {
	switch {
	case p.output == formatJSON:
		return p.list.end()
	case p.output == formatTable && !p.none:
		return p.print(keysTable(p.rows, p.now).text(p.width(p.stdout) - 1))
	}
	return nil
}

// changed is shown instead of the status of a key that was changed outside mcpkeys.
const changed = "changed"

// The columns of the table.
const (
	colName = iota
	colID
	colOwner
	colAudience
	colEnds
	colUsed
	colStatus
	colScopes
)

// keysTable never fills more than the screen. Scopes keep a sixth of it; owner, audience and
// name shrink. If that is not enough, scopes, owner, last use and audience are left out in
// turn. The id is always whole, because other commands take it.
func keysTable(found keys.Page, now time.Time) *table {
	t := &table{
		columns: []column{
			colName: {heading: "NAME"}, colID: {heading: "ID"}, colOwner: {heading: "OWNER"}, colAudience: {heading: "AUDIENCE", ifAny: true},
			colEnds: {heading: "EXPIRES"}, colUsed: {heading: "LAST USED"}, colStatus: {heading: "STATUS"},
			colScopes: {heading: "SCOPES", within: func(row, width int) string { return scopesWithin(found.Keys[row].Scopes, width) }},
		},
		rest: colScopes, share: 6, least: 8, drop: true,
		gives: []give{{column: colOwner, least: 8}, {column: colAudience, least: 8}, {column: colName, least: 18}},
		drops: []int{colOwner, colUsed, colAudience},
		last:  give{column: colName, least: 4},
	}
	bound := slices.ContainsFunc(found.Keys, func(k *keys.Key) bool { return len(k.Audience) > 0 })
	for _, k := range found.Keys {
		ends, audience, status := "never", "", wording.Status(k.Status(now))
		if !k.ExpiresAt.IsZero() {
			ends = wording.Relative(k.ExpiresAt, now)
		}
		if slices.Contains(found.Tampered, k.ID) {
			status = "! " + changed
		}
		if bound {
			audience = words(k.Audience, "-")
		}
		t.add(k.Name, k.ID, k.Owner, audience, ends, lastUsedOf(&found, k.ID).relative(now), status, words(k.Scopes, "-"))
	}
	return t
}

// scopesWithin shows as many whole scopes as fit, and the number of the others.
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

// keysCSV writes a row for each key, after a header if they are the first ones.
func keysCSV(found keys.Page, now time.Time, first bool) string {
	var rows [][]string
	if first {
		rows = append(rows, []string{"id", "name", "owner", "kind", "scopes", "audience", "created_at", "expires_at", "status", "last_used_at"})
	}
	for _, k := range found.Keys {
		ends := ""
		if !k.ExpiresAt.IsZero() {
			ends = k.ExpiresAt.Format(time.RFC3339Nano)
		}
		status := string(k.Status(now))
		if slices.Contains(found.Tampered, k.ID) {
			status = changed
		}
		rows = append(rows, []string{
			k.ID, k.Name, k.Owner, string(k.Kind), strings.Join(k.Scopes, " "), strings.Join(k.Audience, " "),
			k.CreatedAt.Format(time.RFC3339Nano), ends, status, lastUsedOf(&found, k.ID).csv(),
		})
	}
	return csvText(rows...)
}

// listedJSON is a key in a list. Tampered marks a row that was changed outside mcpkeys.
type listedJSON struct {
	api.Key
	LastUsedAt lastUsed `json:"last_used_at,omitzero"` // null for never; left out if it is not known
	Tampered   bool     `json:"tampered,omitempty"`
}

// lastUsed is when a key was last used. Never and not known differ, because people revoke
// keys that were never used.
type lastUsed struct {
	at    time.Time // zero for never
	known bool
}

// lastUsedOf returns the last use of a key on page.
func lastUsedOf(page *keys.Page, id string) lastUsed {
	return lastUsed{at: page.LastUsed[id].At, known: page.LastUsed != nil}
}

// IsZero makes json's omitzero leave out a last use that is not known.
func (l lastUsed) IsZero() bool { return !l.known }

// MarshalJSON renders never as null.
func (l lastUsed) MarshalJSON() ([]byte, error) { return json.Marshal(wire.Moment(l.at)) }

// relative renders l for a column of a table.
func (l lastUsed) relative(now time.Time) string {
	switch {
	case !l.known:
		return "?"
	case l.at.IsZero():
		return "never"
	}
	return wording.Relative(l.at, now)
}

// csv renders l for CSV; not known is empty.
func (l lastUsed) csv() string {
	switch {
	case !l.known:
		return ""
	case l.at.IsZero():
		return "never"
	}
	return l.at.Format(time.RFC3339Nano)
}
