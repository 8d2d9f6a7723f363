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
pipe it is not. -o json, jsonl and csv show all fields. -o name prints only ids,
one on each line, for other commands.`,
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
	q := keys.Query{
		Unrevoked: !f.all, Scope: f.scope, Audience: f.audience, Search: f.search, Cursor: f.cursor,
		Limit: keys.MaxLimit,
	}
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

func (a *app) list(ctx context.Context, m admin.Manager, q keys.Query, f *listFlags) error {
	found, err := pages(ctx, m, q, f.limit)
	if err != nil {
		return err
	}
	if err := a.printKeys(found); err != nil {
		return err
	}
	a.sayTampered(found.Tampered)
	switch {
	case found.Next != "":
		a.say("more: run the same command with --cursor %s", wording.Clean(found.Next))
	case len(found.Keys) == 0 && a.output == formatTable:
		a.sayNothingFound(ctx, m)
	}
	return nil
}

// pages collects keys up to limit, or all if it is zero, into one page.
func pages(ctx context.Context, m admin.Manager, q keys.Query, limit int) (all keys.Page, err error) {
	for {
		if limit > 0 {
			q.Limit = min(keys.MaxLimit, limit-len(all.Keys))
		}
		page, err := m.List(ctx, q)
		if err != nil {
			return keys.Page{}, err
		}
		all.Keys = append(all.Keys, page.Keys...)
		all.Tampered = append(all.Tampered, page.Tampered...)
		all.Next = page.Next
		all.LastUsed = joined(all.LastUsed, page.LastUsed, len(all.Keys) == len(page.Keys))
		if page.Next == "" || len(all.Keys) == limit {
			return all, nil
		}
		q.Cursor = page.Next
	}
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

// sayTampered names the keys whose rows were changed outside mcpkeys.
func (a *app) sayTampered(ids []string) {
	if len(ids) == 0 {
		return
	}
	them := "it"
	if len(ids) > 1 {
		them = "them"
	}
	for i := range ids {
		ids[i] = wording.Clean(ids[i])
	}
	a.say("%s: %s changed outside mcpkeys; no server accepts %s: %s", a.name(), wording.Counted(len(ids), "key was", "keys were"), them, strings.Join(ids, ", "))
	a.say("revoke %s, or restore the database from a backup: %s", them, a.command(append([]string{"revoke"}, ids...)...))
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

// printKeys writes a list in the format that was asked for.
func (a *app) printKeys(found keys.Page) error {
	now := a.now()
	switch a.output {
	case formatJSON, formatJSONL:
		all := make([]listedJSON, 0, len(found.Keys))
		for _, k := range found.Keys {
			all = append(all, listedJSON{wire.Key(k, now), lastUsedOf(&found, k.ID), slices.Contains(found.Tampered, k.ID)})
		}
		return printAll(a, all)
	case formatCSV:
		return a.print(keysCSV(found, now))
	case formatName:
		var b strings.Builder
		for _, k := range found.Keys {
			b.WriteString(wording.Clean(k.ID) + "\n") // a server may say anything
		}
		return a.print(b.String())
	}
	if len(found.Keys) == 0 {
		return nil
	}
	return a.print(keysTable(found, now).text(a.width(a.stdout) - 1))
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

// keysCSV writes a header, and a row for each key.
func keysCSV(found keys.Page, now time.Time) string {
	rows := [][]string{{"id", "name", "owner", "kind", "scopes", "audience", "created_at", "expires_at", "status", "last_used_at"}}
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
