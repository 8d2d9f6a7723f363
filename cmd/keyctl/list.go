package main

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
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
