package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/connect"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

type restoreFlags struct{ undo, dryRun, yes bool }

func newRestore(a *app) *cobra.Command {
	f := &restoreFlags{}
	cmd := &cobra.Command{
		Use:     "restore FILE",
		Short:   "Put a backup in the key store's place",
		GroupID: groupStore,
		Long: `Put a backup in the place of the key store, after it was checked: that it is
whole, that its audit log was not changed, and that the pepper file at hand fits
it. What is replaced is copied first, to a file beside it. Servers that have the
key store open go on with the restored one, at once.

What was done since the backup is undone, and told before anything is changed.
But keys that were revoked or disabled since stay so, as far as the present key
store tells, unless --undo-revocations is given. Where there is no key store,
a damaged one, or one that lacks changes (its log was removed, or an older file
was copied over it), that cannot be told: look at the keys then, and revoke
again.`,
		Example: `  keyctl restore keys-2027-01-31.db --dry-run
  keyctl restore keys-2027-01-31.db`,
		Args: oneArg("the FILE of a backup"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" || args[0] == "-" {
				return usagef("restore reads a file more than once; name one")
			}
			if !f.yes && !f.dryRun && !a.canAsk() {
				return usagef("restore asks first, and nobody is there to answer; look with --dry-run, then say --yes")
			}
			return a.restore(cmd.Context(), args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.undo, "undo-revocations", false, "let keys that were revoked or disabled since be good again")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only check the backup, and tell what would be undone")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func (a *app) restore(ctx context.Context, file string, f *restoreFlags) error {
	s, err := a.localSettings()
	if err != nil {
		return err
	}
	r, err := s.Restore(ctx, file)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // copies only
	if f.dryRun {
		return a.reportDryRestore(r, f)
	}
	if a.output != formatJSON || !f.yes { // who is asked must know what
		a.say("%s", a.foretold(r, f))
	}
	if !f.yes {
		yes, err := ask(ctx, restoreQuestion(r, absolute(s.DB)))
		if err != nil {
			return err
		}
		if !yes {
			return usagef("nothing was restored")
		}
	}
	show, done := a.progress("restored")
	came, err := r.Run(ctx, sqlite.RestoreOptions{Actor: connect.Actor(), UndoRevocations: f.undo, Now: a.now, Progress: show})
	done()
	if err != nil {
		return err
	}
	return a.reportRestored(r, came, f)
}
