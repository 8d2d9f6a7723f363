package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
)

func newVerifiers(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "verifiers",
		Short:   "List the guards on other hosts",
		GroupID: groupKeys,
		Long: `List the guards on other hosts that have a lease of a server.

Without --server the list has the guards of every keyctl serve of this
machine's key store, as of about a second ago. With --server it has those of
that server, and the admin key needs audit:read. Guards that open the key store
themselves are not listed.

KEY is the guard's verify key, and INSTANCE tells its processes apart. A guard
that is "behind" has not applied the last change yet. LEASE is when its lease
ends if the guard does not renew it.`,
		Example: `  keyctl verifiers
  keyctl --server https://keys.example.com verifiers -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.verifiers(cmd.Context()) },
	}
	formats(cmd, formatTable, formatJSON, formatJSONL)
	return cmd
}

func (a *app) verifiers(ctx context.Context) error {
	s, err := a.settings()
	if err != nil {
		return err
	}
	list, err := s.Verifiers(ctx)
	if err != nil {
		return err
	}
	if a.output == formatJSON || a.output == formatJSONL {
		return printAll(a, list)
	}
	if len(list) == 0 {
		a.say("No guard on another host has a lease.")
		return nil
	}
	return a.print(verifiersTable(list).text(a.width(a.stdout)))
}

// verifiersTable leaves out the columns at the right that do not fit the screen.
func verifiersTable(list []api.Verifier) *table {
	t := &table{cut: true, columns: []column{
		{heading: "KEY"}, {heading: "INSTANCE"}, {heading: "AUDIENCE"}, {heading: "ADDRESS"}, {heading: "APPLIED"}, {heading: "LEASE"}, {heading: "SINCE"},
	}}
	for _, v := range list {
		applied := "current"
		if v.Behind {
			applied = "behind"
		}
		t.add(v.KeyID, v.Instance, orDash(v.Audience), orDash(v.Address), applied,
			v.LeaseEnds.Local().Format(time.TimeOnly), wording.Date(v.Since, time.Local))
	}
	return t
}
