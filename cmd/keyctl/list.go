package main

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/connect"
	"github.com/mcpkeys/mcpkeys/internal/wording"
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
		Long: `List keys, newest first. Revoked ones are left out unless --all or --status
revoked asks for them. Conditions add up.

On a terminal, and where COLUMNS is set, the table is cut to fit; into a file or
a pipe it is whole. -o json, jsonl and csv show everything, and -o name prints
ids only, one a line, to feed to other commands.`,
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
	flags.BoolVar(&f.all, "all", false, "revoked keys too")
	flags.StringVar(&f.status, "status", "", "keys with this `STATUS`: active, expiring, expired, disabled, revoked")
	flags.StringVar(&f.owner, "owner", "", "keys of this `OWNER`; '' for keys without one")
	flags.StringVar(&f.scope, "scope", "", "keys that were granted exactly this `SCOPE`")
	flags.StringVar(&f.audience, "audience", "", "keys that name this `SERVER`")
	flags.StringVar(&f.kind, "kind", "", "keys of this `KIND`: key or admin")
	flags.StringVar(&f.ending, "expiring-within", "", "keys that end within this `TIME`, such as 14d, or have ended")
	flags.StringVar(&f.unused, "unused-for", "", "keys neither used nor issued for this `TIME`, such as 30d")
	flags.StringVar(&f.search, "search", "", "keys with this `TEXT` in id, name or owner")
	flags.IntVar(&f.limit, "limit", 0, "at most this `COUNT`")
	flags.StringVar(&f.cursor, "cursor", "", "go on at the `CURSOR` that a list with --limit ended with")
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
		return q, usagef("--limit takes a whole number from 1 up")
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

// checkFilters refuses what no key can have: a filter that fits nothing would say that
// there is nothing.
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

func (a *app) list(ctx context.Context, m keys.Manager, q keys.Query, f *listFlags) error {
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
		a.say("more: run the same list with --cursor %s", wording.Clean(found.Next))
	case len(found.Keys) == 0 && a.output == formatTable:
		a.sayNothingFound(ctx, m)
	}
	return nil
}

// pages collects keys up to limit, or all of them when it is zero, as if they were
// one page.
func pages(ctx context.Context, m keys.Manager, q keys.Query, limit int) (all keys.Page, err error) {
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

// joined is what two pages know of last uses, and nothing when one of them does not.
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

// sayTampered names the keys whose rows say what nobody entitled wrote there.
func (a *app) sayTampered(ids []string) {
	if len(ids) == 0 {
		return
	}
	what, them := "1 key was", "it"
	if len(ids) > 1 {
		what, them = itoa(len(ids))+" keys were", "them"
	}
	for i := range ids {
		ids[i] = wording.Clean(ids[i])
	}
	a.say("%s: %s changed outside mcpkeys, so no server accepts %s: %s", a.name(), what, them, strings.Join(ids, ", "))
	a.say("revoke %s, or restore the database from a backup: %s", them, a.command(append([]string{"revoke"}, ids...)...))
}

// sayNothingFound tells an empty store from conditions that nothing fits.
func (a *app) sayNothingFound(ctx context.Context, m keys.Manager) {
	page, err := m.List(ctx, keys.Query{Limit: 1})
	if err == nil && len(page.Keys) == 0 {
		a.say("No keys yet. Issue one: %s", a.command("issue", "ci", "--tool", "get_*"))
		return
	}
	a.say("No key fits. Revoked ones are shown with --all.")
}
