package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

func newUsage(a *app) *cobra.Command {
	var since string
	cmd := &cobra.Command{
		Use:     "usage KEY",
		Short:   "Show when, how often and for what a key was used",
		GroupID: groupKeys,
		Long: `Show when and from where each secret of a key was last accepted, how often the
key was presented, with which outcome, and for which scopes.

Guarded servers write their counts every five seconds; a crash may lose the last
five seconds. Counts are kept by the hour for 90 days, then by the day for two
years, last uses permanently. -o jsonl and csv print a row for each hour, or
day, with each outcome and scope, and with the key.

` + keyReference,
		Example: "  keyctl usage ci\n  keyctl usage ci --since 7d -o csv",
		Args:    oneArg("a KEY: a name or an id"),

		ValidArgsFunction: a.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := usage.ParseSince(since, a.now())
			if err != nil {
				return usagef("--since takes a whole number and a unit, such as 24h or 7d, a date, such as 2027-01-31, or a time, such as 2027-01-31T00:00:00Z")
			}
			return a.withAdmin(cmd.Context(), func(m *connect.Admin) error {
				return a.usage(cmd.Context(), m, args[0], from)
			})
		},
	}
	cmd.Flags().StringVar(&since, "since", keys.FormatDuration(usage.DefaultSince), "count since `TIME`: 24h or 7d ago, or a date and time")
	formats(cmd, formatTable, formatJSON, formatJSONL, formatCSV)
	return cmd
}

func (a *app) usage(ctx context.Context, m admin.Manager, ref string, since time.Time) error {
	k, err := a.resolve(ctx, m, ref)
	if err != nil {
		return err
	}
	u, err := m.Usage(ctx, k.ID, since)
	if err != nil {
		return err
	}
	switch a.output {
	case formatJSON:
		return a.printJSON(newUsageJSON(k, since, u))
	case formatJSONL:
		rows := make([]usageRowJSON, 0, len(u.Counts))
		for _, c := range u.Counts {
			rows = append(rows, usageRowJSON{k.ID, k.Name, k.Owner, wire.Count(c)})
		}
		return printAll(a, rows)
	case formatCSV:
		return a.print(usageCSV(k, u))
	}
	return a.print(a.usagePage(k, since, u))
}

// usagePage is the page for people: last uses, then outcomes, then scopes.
func (a *app) usagePage(k *keys.Key, since time.Time, u usage.Usage) string {
	rows := []row{{"key", k.Label() + " " + k.ID}}
	for i, l := range u.Last {
		name := ""
		if i == 0 {
			name = "last used"
		}
		rows = append(rows, row{name, a.lastUse(l)})
	}
	if len(u.Last) == 0 {
		rows = append(rows, row{"last used", "never"})
	}
	rows = append(rows, row{"since", a.when(since)})
	if isTerminal(a.stdout) {
		rows = append(rows, row{"by hour", wording.Sparkline(u.Hourly(since, a.now()), a.width(a.stdout)-14)})
	}
	text := aligned(rows, a.width(a.stdout))
	if len(u.Counts) == 0 {
		return text + "\n  no calls since then\n"
	}
	outcomes := numbers("OUTCOME", "CALLS")
	for _, o := range u.Outcomes() {
		outcomes.add(string(o.Code), calls(o.Calls))
	}
	outcomes.add("total", calls(u.Calls()))
	text += "\n" + outcomes.text(a.width(a.stdout)-1)
	scopes := numbers("SCOPE", "ALLOWED", "DENIED")
	for _, s := range u.Scopes() {
		name := s.Scope
		if name == usage.OtherScopes {
			name = "others"
		}
		scopes.add(name, calls(s.Allowed), calls(s.Denied))
	}
	if len(scopes.rows) > 0 {
		text += "\n" + scopes.text(a.width(a.stdout)-1)
	}
	return text
}

// lastUse says when a secret was last accepted, from where, by which client, and its number.
func (a *app) lastUse(l keys.LastUse) string {
	return a.useOfOne(l) + ", secret " + strconv.FormatInt(l.Secret, 10)
}

// useOfOne is lastUse without the number of the secret.
func (a *app) useOfOne(l keys.LastUse) string {
	text := a.when(l.At)
	if l.ClientIP.IsValid() {
		text += " from " + l.ClientIP.String()
	}
	if l.Agent != "" {
		text += " by " + l.Agent
	}
	return text
}

func calls(n int64) string { return strconv.FormatInt(n, 10) }

// numbers is a table whose columns hold numbers, except the first. The first column shrinks
// if the screen is too narrow.
func numbers(first string, others ...string) *table {
	t := &table{columns: []column{{heading: first}}, indent: 2, share: 1, least: 8}
	for _, heading := range others {
		t.columns = append(t.columns, column{heading: heading, right: true})
	}
	return t
}

// usageJSON is the use of a key: totals, and counts by the hour.
type usageJSON struct {
	api.Usage
	Name     string        `json:"name"`
	Owner    string        `json:"owner"`
	Calls    int64         `json:"calls"`
	Outcomes []outcomeJSON `json:"outcomes"`
	Scopes   []scopeJSON   `json:"scopes"`
}

type outcomeJSON struct {
	Code  keys.Code `json:"code"`
	Calls int64     `json:"calls"`
}

type scopeJSON struct {
	Scope   string `json:"scope"`
	Allowed int64  `json:"allowed"`
	Denied  int64  `json:"denied"`
}

// usageRowJSON is one count on a line of its own, so it names its key.
type usageRowJSON struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Owner string `json:"owner"`
	api.UseCount
}

func newUsageJSON(k *keys.Key, since time.Time, u usage.Usage) usageJSON {
	out := usageJSON{
		Usage: wire.Usage(k.ID, since, u), Name: k.Name, Owner: k.Owner, Calls: u.Calls(),
		Outcomes: []outcomeJSON{}, Scopes: []scopeJSON{},
	}
	for _, o := range u.Outcomes() {
		out.Outcomes = append(out.Outcomes, outcomeJSON(o))
	}
	for _, s := range u.Scopes() {
		out.Scopes = append(out.Scopes, scopeJSON(s))
	}
	return out
}

func usageCSV(k *keys.Key, u usage.Usage) string {
	rows := [][]string{{"id", "name", "owner", "hour", "code", "scope", "calls", "day"}}
	for _, c := range u.Counts {
		day := ""
		if c.Day {
			day = "true" // as in JSON
		}
		rows = append(rows, []string{k.ID, k.Name, k.Owner, c.Hour.Format(time.RFC3339), string(c.Code), c.Scope, calls(c.Calls), day})
	}
	return csvText(rows...)
}
