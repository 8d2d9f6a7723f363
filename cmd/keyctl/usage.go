package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/connect"
	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

func newUsage(a *app) *cobra.Command {
	var since string
	cmd := &cobra.Command{
		Use:     "usage KEY",
		Short:   "Show when, how often and for what a key was used",
		GroupID: groupKeys,
		Long: `Show when each secret of a key was last accepted and from where, how often the
key was presented and what came of it, and which scopes were asked of it.

Guarded servers write their counts down every five seconds, and a crash may lose
as much. Counts are kept by the hour for 90 days, last uses for ever. -o jsonl
and csv print a row for each hour, outcome and scope, with the key.

` + keyReference,
		Example: "  keyctl usage ci\n  keyctl usage ci --since 7d -o csv",
		Args:    oneArg("a KEY: a name or an id"),

		ValidArgsFunction: a.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := keys.ParseSince(since, a.now())
			if err != nil {
				return usagef("--since takes a whole number and a unit, such as 24h or 7d, a date, such as 2027-01-31, or a time, such as 2027-01-31T00:00:00Z")
			}
			return a.withAdmin(cmd.Context(), func(m *connect.Admin) error {
				return a.usage(cmd.Context(), m, args[0], from)
			})
		},
	}
	cmd.Flags().StringVar(&since, "since", keys.FormatDuration(keys.UsageSince), "count from this `TIME` ago, such as 24h or 7d, or from a date and time")
	formats(cmd, formatTable, formatJSON, formatJSONL, formatCSV)
	return cmd
}

func (a *app) usage(ctx context.Context, m keys.Manager, ref string, since time.Time) error {
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
		for _, c := range u.Counts {
			if err := a.printJSON(usageRowJSON{k.ID, k.Name, k.Owner, newCountJSON(c)}); err != nil {
				return err
			}
		}
		return nil
	case formatCSV:
		return a.print(usageCSV(k, u))
	}
	return a.print(a.usagePage(k, since, u))
}

// usagePage is what people read: last uses, then outcomes, then scopes.
func (a *app) usagePage(k *keys.Key, since time.Time, u keys.Usage) string {
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
		return text + "\n  not presented since then\n"
	}
	outcomes := [][]string{{"OUTCOME", "CALLS"}}
	for _, o := range u.Outcomes() {
		outcomes = append(outcomes, []string{string(o.Code), calls(o.Calls)})
	}
	outcomes = append(outcomes, []string{"total", calls(u.Calls())})
	text += "\n" + numbers(outcomes, a.width(a.stdout))
	scopes := [][]string{{"SCOPE", "ALLOWED", "DENIED"}}
	for _, s := range u.Scopes() {
		name := s.Scope
		if name == keys.OtherScopes {
			name = "others"
		}
		scopes = append(scopes, []string{name, calls(s.Allowed), calls(s.Denied)})
	}
	if len(scopes) > 1 {
		text += "\n" + numbers(scopes, a.width(a.stdout))
	}
	return text
}

// lastUse says when a secret was last accepted, from where and by what, and which.
func (a *app) lastUse(l keys.LastUse) string {
	return a.useOfOne(l) + ", secret " + strconv.FormatInt(l.Secret, 10)
}

// useOfOne is lastUse where it is plain which secret is meant.
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

// numbers lays out a table of which all but the first column are numbers, to the
// right. The first gives way where the screen is too narrow.
func numbers(rows [][]string, width int) string {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i := range r {
			if i == 0 {
				r[i] = wording.Clean(r[i])
			}
			widths[i] = max(widths[i], cells(r[i]))
		}
	}
	rest := 2
	for _, w := range widths[1:] {
		rest += gap + w
	}
	widths[0] = min(widths[0], max(8, width-1-rest))
	var b strings.Builder
	for _, r := range rows {
		b.WriteString("  " + fit(r[0], widths[0]))
		for i, text := range r[1:] {
			fmt.Fprintf(&b, "%*s", gap+widths[i+1], text)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// usageJSON is what is known of the use of a key, summed up and by the hour.
type usageJSON struct {
	ID       string        `json:"id"`
	Name     string        `json:"name"`
	Owner    string        `json:"owner"`
	Since    time.Time     `json:"since"`
	LastUsed []lastUseJSON `json:"last_used"`
	Calls    int64         `json:"calls"`
	Outcomes []outcomeJSON `json:"outcomes"`
	Scopes   []scopeJSON   `json:"scopes"`
	Counts   []countJSON   `json:"counts"`
}

type lastUseJSON struct {
	Secret   int64     `json:"secret"`
	At       time.Time `json:"at"`
	ClientIP string    `json:"client_ip"` // empty when unknown, as is agent
	Agent    string    `json:"agent"`
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

type countJSON struct {
	Hour  time.Time `json:"hour"`
	Code  keys.Code `json:"code"`
	Scope string    `json:"scope"` // empty for requests
	Calls int64     `json:"calls"`
}

// usageRowJSON is a count that stands alone, so it names its key.
type usageRowJSON struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Owner string `json:"owner"`
	countJSON
}

func newUsageJSON(k *keys.Key, since time.Time, u keys.Usage) usageJSON {
	out := usageJSON{
		ID: k.ID, Name: k.Name, Owner: k.Owner, Since: since.UTC().Truncate(time.Microsecond), Calls: u.Calls(),
		LastUsed: []lastUseJSON{}, Outcomes: []outcomeJSON{}, Scopes: []scopeJSON{}, Counts: []countJSON{},
	}
	for _, l := range u.Last {
		out.LastUsed = append(out.LastUsed, newLastUseJSON(l))
	}
	for _, o := range u.Outcomes() {
		out.Outcomes = append(out.Outcomes, outcomeJSON(o))
	}
	for _, s := range u.Scopes() {
		out.Scopes = append(out.Scopes, scopeJSON(s))
	}
	for _, c := range u.Counts {
		out.Counts = append(out.Counts, newCountJSON(c))
	}
	return out
}

func newLastUseJSON(l keys.LastUse) lastUseJSON {
	out := lastUseJSON{Secret: l.Secret, At: l.At, Agent: l.Agent}
	if l.ClientIP.IsValid() {
		out.ClientIP = l.ClientIP.String()
	}
	return out
}

func newCountJSON(c keys.UseCount) countJSON { return countJSON(c) }

func usageCSV(k *keys.Key, u keys.Usage) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"id", "name", "owner", "hour", "code", "scope", "calls"})
	for _, c := range u.Counts {
		_ = w.Write([]string{csvCell(k.ID), csvCell(k.Name), csvCell(k.Owner), c.Hour.Format(time.RFC3339), csvCell(string(c.Code)), csvCell(c.Scope), calls(c.Calls)}) // into memory: cannot fail
	}
	w.Flush()
	return b.String()
}
