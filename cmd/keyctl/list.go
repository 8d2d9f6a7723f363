package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
)

type listFlags struct {
	all                                          bool
	status, owner, scope, audience, kind, ending string
	unused                                       string
	search, cursor                               string
	limit                                        int
}

func newList(a *app) *cobra.Command {
	f := &listFlags{}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List keys",
		GroupID: groupKeys,
		Long: `List keys, newest first. Revoked keys are shown only with --all or --status
revoked. A key is listed if it matches every flag that you give.

On a terminal, or if COLUMNS is set, the table is cut to fit; in a file or a
pipe it is not. It shows the newest 10,000 keys, unless --limit says otherwise.
-o json, jsonl and csv show all fields of all keys. -o name prints only ids, one
on each line, for other commands.

These formats are printed while the keys are read, so a list may be longer than
memory. Each key is listed once, as it is when its page is read; keys that are
issued after the list began are not in it. If reading fails, an error says after
how many keys the output ends.`,
		Example: `  keyctl list --expiring-within 14d
  keyctl list --unused-for 90d
  keyctl list --owner data-team -o name | xargs -r keyctl revoke --yes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(cmd, a.now())
			if err != nil {
				return err
			}
			return a.withAdmin(cmd.Context(), func(m *connect.Admin) error {
				return a.list(cmd.Context(), m, q, f)
			})
		},
	}
	f.register(cmd)
	formats(cmd, formatTable, formatJSON, formatJSONL, formatCSV, formatName)
	return cmd
}

func (f *listFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.all, "all", false, "include revoked keys")
	flags.StringVar(&f.status, "status", "", "keys with this `STATUS`: active, expiring, expired, disabled, revoked")
	flags.StringVar(&f.owner, "owner", "", "keys of this `OWNER`; '' for keys without one")
	flags.StringVar(&f.scope, "scope", "", "keys that were granted exactly this `SCOPE`")
	flags.StringVar(&f.audience, "audience", "", "keys that name this `SERVER`")
	flags.StringVar(&f.kind, "kind", "", "keys of this `KIND`: key or admin")
	flags.StringVar(&f.ending, "expiring-within", "", "keys that expire within this `TIME`, such as 14d, or have expired")
	flags.StringVar(&f.unused, "unused-for", "", "keys neither used nor issued for this `TIME`, such as 30d")
	flags.StringVar(&f.search, "search", "", "keys with this `TEXT` in their id, name or owner")
	flags.IntVar(&f.limit, "limit", 0, "at most this `COUNT` of keys")
	flags.StringVar(&f.cursor, "cursor", "", "continue at the `CURSOR` that a list with --limit printed")
}

func (f *listFlags) query(cmd *cobra.Command, now time.Time) (keys.Query, error) {
	q := keys.Query{Unrevoked: !f.all, Scope: f.scope, Audience: f.audience, Search: f.search, Cursor: f.cursor}
	if cmd.Flags().Changed("owner") {
		q.Owner = &f.owner
	}
	if f.limit < 0 || (f.limit == 0 && cmd.Flags().Changed("limit")) {
		return q, usagef("--limit takes a whole number, 1 or more")
	}
	if err := checkFilters(f.scope, f.audience); err != nil {
		return q, err
	}
	var err error
	if f.status != "" {
		if q.Status, err = keys.ParseStatus(f.status); err != nil {
			return q, err
		}
		q.Unrevoked = q.Unrevoked && q.Status != keys.StatusRevoked
	}
	if f.kind != "" {
		if q.Kind, err = keys.ParseKind(f.kind); err != nil {
			return q, err
		}
	}
	if f.ending != "" {
		within, err := keys.ParseDuration(f.ending)
		if err != nil {
			return q, usagef("--expiring-within takes a whole number and a unit, such as 14d or 36h")
		}
		q.ExpiresBy = now.Add(within)
	}
	if f.unused != "" {
		unused, err := keys.ParseDuration(f.unused)
		if err != nil {
			return q, usagef("--unused-for takes a whole number and a unit, such as 30d or 36h")
		}
		q.UnusedBy = now.Add(-unused)
	}
	return q, nil
}

// checkFilters refuses a scope or audience that no key can have: the list would be empty, and
// look like an answer.
func checkFilters(scope, audience string) error {
	if scope != "" {
		if _, err := keys.CompileScopes([]string{scope}); err != nil {
			return err
		}
	}
	if audience != "" {
		return keys.ValidateAudience(audience)
	}
	return nil
}

// tableShown is how many keys a table shows without --limit. All of its rows are in memory,
// because each can make a column wider.
const tableShown = 10_000

// most is how many keys are wanted; 0 is all of them.
func (f *listFlags) most(output format) int {
	if f.limit == 0 && output == formatTable {
		return tableShown
	}
	return f.limit
}

func (a *app) list(ctx context.Context, m admin.Manager, q keys.Query, f *listFlags) error {
	out := newKeyPrinter(a)
	next, err := eachPage(ctx, m, q, f.most(a.output), out.add)
	if err == nil {
		err = out.end()
	}
	if err != nil {
		return incomplete(err, out.n, "key", "keys")
	}
	a.sayTampered(&out.tampered)
	switch {
	case next != "" && f.limit == 0:
		a.say("more: the table ends after %d keys; use -o jsonl for all keys, or --cursor %s to continue", tableShown, wording.Clean(next))
	case next != "":
		a.say("more: run the same command with --cursor %s", wording.Clean(next))
	case out.none && a.output == formatTable:
		a.sayNothingFound(ctx, m)
	}
	return nil
}

// eachPage gives the pages of q to add, up to limit keys, or all if it is zero. It returns the
// cursor of what is left. There is at least one page, which may be empty.
func eachPage(ctx context.Context, m admin.Manager, q keys.Query, limit int, add func(keys.Page) error) (next string, err error) {
	for left := limit; ; {
		q.Limit = keys.MaxLimit
		if limit > 0 {
			q.Limit = min(keys.MaxLimit, left)
		}
		page, err := m.List(ctx, q)
		if err == nil {
			err = add(page)
		}
		left -= len(page.Keys)
		if err != nil || page.Next == "" || limit > 0 && left <= 0 {
			return page.Next, err
		}
		q.Cursor = page.Next
	}
}

// collect adds a page to all, the pages before it.
func collect(all *keys.Page, page keys.Page) {
	all.LastUsed = joined(all.LastUsed, page.LastUsed, len(all.Keys) == 0)
	all.Keys = append(all.Keys, page.Keys...)
	all.Tampered = append(all.Tampered, page.Tampered...)
}

// joined merges the last uses of two pages; it is nil if one of them does not know them.
func joined(all, page map[string]keys.LastUse, first bool) map[string]keys.LastUse {
	if first {
		return page
	}
	if all == nil || page == nil {
		return nil
	}
	maps.Copy(all, page)
	return all
}

// tamperedNamed is how many keys that were changed outside mcpkeys are named.
const tamperedNamed = 100

// tampered are keys whose rows were changed outside mcpkeys: how many, and the ids of the
// first ones.
type tampered struct {
	n   int
	ids []string
}

func (t *tampered) add(ids []string) {
	t.n += len(ids)
	for _, id := range ids[:min(len(ids), tamperedNamed-len(t.ids))] {
		t.ids = append(t.ids, wording.Clean(id))
	}
}

func (a *app) sayTampered(t *tampered) {
	if t.n == 0 {
		return
	}
	them, more := "it", ""
	if t.n > 1 {
		them = "them"
	}
	if rest := t.n - len(t.ids); rest > 0 {
		more = fmt.Sprintf(" and %d more", rest)
	}
	a.say("%s: %s changed outside mcpkeys; no server accepts %s: %s", a.name(), wording.Counted(t.n, "key was", "keys were"), them, strings.Join(t.ids, ", ")+more)
	a.say("revoke %s, or restore the database from a backup: %s", them, a.command(append([]string{"revoke"}, t.ids...)...))
}

// sayNothingFound says whether the store is empty or the conditions fit no key.
func (a *app) sayNothingFound(ctx context.Context, m admin.Manager) {
	page, err := m.List(ctx, keys.Query{Limit: 1})
	if err == nil && len(page.Keys) == 0 {
		a.say("No keys yet. Issue one: %s", a.command("issue", "ci", "--tool", "get_*"))
		return
	}
	a.say("No matching keys. Use --all to include revoked keys.")
}

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
