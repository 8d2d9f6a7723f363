package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
)

// checkDenied refuses flags that do not apply to denials.
func (f *auditFlags) checkDenied(cmd *cobra.Command) error {
	for _, name := range []string{"actor", "action", "follow"} {
		if cmd.Flags().Changed(name) {
			return usagef("--%s does not go with --denied; leave one of the two out", name)
		}
	}
	return nil
}

// denied shows the requests that guards refused lately.
func (a *app) denied(ctx context.Context, m admin.Manager, q audit.Query, f *auditFlags) error {
	limit := f.most(a.output)
	if limit == 0 {
		limit = 2 * usage.DenialsKept // more than are kept
	}
	list, err := m.Denials(ctx, store.DenialQuery{KeyID: q.KeyID, Since: q.Since, Limit: limit})
	if err != nil {
		return err
	}
	switch a.output {
	case formatJSON, formatJSONL:
		all := make([]api.Denial, 0, len(list))
		for _, d := range list {
			all = append(all, wire.Denial(d))
		}
		return printAll(a, all)
	case formatCSV:
		rows := [][]string{{"minute", "code", "key_id", "proved", "source", "audience", "scope", "offered", "agent", "calls"}}
		for _, d := range list {
			rows = append(rows, []string{
				d.Minute.Format(time.RFC3339), string(d.Code), d.KeyID, strconv.FormatBool(d.Proved),
				source(d), d.Audience, d.Scope, d.Offered, d.Agent, calls(d.Calls),
			})
		}
		return a.print(csvText(rows...))
	}
	if len(list) == 0 {
		a.say("No refused requests are recorded.")
		return nil
	}
	return a.print(deniedTable(list).text(a.width(a.stdout)))
}

func source(d usage.Denial) string {
	switch {
	case !d.Source.IsValid():
		return ""
	case d.Source.IsSingleIP():
		return d.Source.Addr().String()
	}
	return d.Source.String()
}

// lacks says what the key lacked.
func lacks(d usage.Denial) string {
	if d.Code == keys.CodeWrongAudience && d.Offered != "" {
		return "is for " + d.Offered
	}
	return d.Scope
}

// deniedTable leaves out the columns at the right that do not fit the screen.
func deniedTable(list []usage.Denial) *table {
	t := &table{cut: true, columns: []column{
		{heading: "TIME"}, {heading: "CALLS"}, {heading: "CODE"}, {heading: "KEY"}, {heading: "FROM"}, {heading: "SERVER"}, {heading: "LACKS"}, {heading: "AGENT"},
	}}
	for _, d := range list {
		key := orDash(d.KeyID)
		if d.KeyID != "" && !d.Proved {
			key += "?" // the caller did not prove that it has the key
		}
		t.add(wording.Date(d.Minute, time.Local), calls(d.Calls), string(d.Code), key,
			orDash(source(d)), orDash(d.Audience), orDash(lacks(d)), orDash(d.Agent))
	}
	return t
}
