package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
)

const groupPepper = "pepper"

func newPepper(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "pepper COMMAND",
		Short:   "Show, add and retire peppers",
		GroupID: groupStore,
		Long: `Show, add and retire peppers. They are in the pepper file; without them no key
in the database can be verified or forged. New keys use the current pepper. An
older key needs the pepper that it was made with, which may be an old one.

To replace a pepper, add a new one, wait until the keys in use have been used,
and retire the old one: a key moves to the new pepper when it is used. See
docs/operations.md.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddGroup(&cobra.Group{ID: groupPepper, Title: "Commands"})
	cmd.AddCommand(newPepperList(a), newPepperAdd(a), newPepperRetire(a))
	return cmd
}

// withKeeper opens the key store of this machine, runs do, and closes it.
func (a *app) withKeeper(do func(*admin.Local) error) (err error) {
	s, err := a.localSettings()
	if err != nil {
		return err
	}
	m, closeStore, err := s.Keeper()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	return do(m)
}

func newPepperList(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "Show the peppers, and how many keys need each",
		GroupID: groupPepper,
		Long: `Show the ids of the key store's peppers, and how many keys need each. Nothing of
the peppers themselves is shown. All keys are read for it.

NEEDED BY counts the keys with a valid secret that was made with the pepper;
disabled keys count too. Without the pepper they cannot be verified. ENDED KEYS
counts the keys whose secrets of this pepper are all revoked or expired. SECRETS
counts all secrets that were made with it, SEALS all rows that were sealed with
it. A pepper that pepper retire removed is listed as missing while ended keys
name it.`,
		Example: "  keyctl pepper list -o json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withKeeper(func(m *admin.Local) error {
				uses, err := m.PepperUses(cmd.Context())
				if err != nil {
					return err
				}
				return a.printPeppers(uses)
			})
		},
	}
	formats(cmd, formatTable, formatJSON)
	return cmd
}

type pepperJSON struct {
	ID       string            `json:"id"`
	State    store.PepperState `json:"state"`
	Noted    bool              `json:"noted"`
	Since    *time.Time        `json:"since"`
	LiveKeys int               `json:"live_keys"`
	DeadKeys int               `json:"dead_keys"`
	Secrets  int               `json:"secrets"`
	Seals    int               `json:"seals"`
}

func (a *app) printPeppers(uses []store.PepperUse) error {
	if a.output == formatJSON {
		all := make([]pepperJSON, 0, len(uses))
		for _, u := range uses {
			one := pepperJSON{u.ID, u.State, u.Noted, nil, u.LiveKeys, u.DeadKeys, u.Secrets, u.Seals}
			if !u.Since.IsZero() {
				one.Since = &u.Since
			}
			all = append(all, one)
		}
		return a.printJSON(all)
	}
	t := &table{columns: []column{
		{heading: "PEPPER"},
		{heading: "STATE"},
		{heading: "SINCE"},
		{heading: "NEEDED BY"},
		{heading: "ENDED KEYS"},
		{heading: "SECRETS"},
		{heading: "SEALS"},
	}}
	for _, u := range uses {
		since := "-"
		if !u.Since.IsZero() {
			since = u.Since.Local().Format(time.DateOnly)
		}
		t.add(fit(wording.Clean(u.ID), pepperWidth), string(u.State), since, itoa(u.LiveKeys), itoa(u.DeadKeys), itoa(u.Secrets), itoa(u.Seals))
	}
	if err := a.print(t.text(unlimited)); err != nil {
		return err
	}
	for _, u := range uses {
		if note := noteOnPepper(&u); note != "" {
			a.say("note: pepper %s %s", strings.TrimSpace(fit(wording.Clean(u.ID), pepperWidth)), note)
		}
	}
	return nil
}

// pepperWidth is how much of an id is shown; an id that was written into the database by hand
// may be longer.
const pepperWidth = 12

func noteOnPepper(u *store.PepperUse) string {
	switch {
	case u.State == store.PepperMissing && u.Noted:
		return "is not in the pepper file: restore the file from backup"
	case u.State == store.PepperMissing && (u.LiveKeys > 0 || u.Seals > 0):
		return "is not in the pepper file, but keys name it: the database was changed outside mcpkeys"
	case u.State == store.PepperOld && !u.Noted:
		return "is still in the pepper file, because its retirement did not finish: retire it again"
	}
	return ""
}

func newPepperAdd(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "add",
		Short:   "Make a new pepper for new and used keys",
		GroupID: groupPepper,
		Long: `Make a new pepper and add it to the pepper file as the current one. The one
before is then old, but still verifies: all keys continue to work. A key moves
to the new pepper when it is used or rotated.

Then back up the pepper file again: without the new pepper, keys that are made
from now on cannot be verified. Servers on this machine that have the key store
open use the new pepper by themselves. A server that has a copy of the pepper
file, or only that file mounted into its container, needs the new file and a
restart.`,
		Example: "  keyctl pepper add",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.sure(cmd.Context(), yes, "pepper add", "Add a pepper? You must then back up the pepper file again."); err != nil {
				return err
			}
			return a.withKeeper(func(m *admin.Local) error {
				id, err := m.AddPepper(cmd.Context())
				if err != nil {
					return err
				}
				return a.printAdded(id)
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func (a *app) printAdded(id string) error {
	s, err := a.localSettings()
	if err != nil {
		return err
	}
	file := absolute(s.PepperFile)
	if a.output == formatJSON {
		return a.printJSON(map[string]string{"id": id, "pepper": file})
	}
	if err := a.print(fmt.Sprintf("pepper %s is now current\n", id)); err != nil {
		return err
	}
	a.say("Back up %s again now: without it, new keys cannot be verified.", wording.Clean(file))
	a.say("Servers that have this key store open use the new pepper from their next request on.")
	return nil
}

// sure asks for confirmation, unless yes. If standard input is not a terminal, --yes is
// needed.
func (a *app) sure(ctx context.Context, yes bool, command, question string) error {
	if yes {
		return nil
	}
	if !a.canAsk() {
		return usagef("%s asks first, but standard input is not a terminal; use --yes", command)
	}
	agreed, err := ask(ctx, question)
	if err != nil {
		return err
	}
	if !agreed {
		return usagef("nothing was changed")
	}
	return nil
}

type retireFlags struct{ revokeRemaining, yes bool }

func newPepperRetire(a *app) *cobra.Command {
	f := &retireFlags{}
	cmd := &cobra.Command{
		Use:     "retire ID",
		Short:   "Remove an old pepper that no key needs",
		GroupID: groupPepper,
		Long: `Remove an old pepper from the pepper file and from the key store. This is
refused while keys need it. A key moves to the current pepper when it is used;
rotate or revoke the others. --revoke-remaining revokes them, or ends only the
old secret of a key whose newer secret does not need the pepper.

The rows of revoked and expired keys stay readable. Earlier backups of the
database need the pepper: keep a backup of the pepper file as long as you keep
them.`,
		Example: `  keyctl pepper list
  keyctl pepper retire pAb3dE9
  keyctl pepper retire pAb3dE9 --revoke-remaining`,
		Args: oneArg("the ID of a pepper; `keyctl pepper list` shows them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !f.yes && !a.canAsk() {
				return usagef("pepper retire asks first, but standard input is not a terminal; use --yes")
			}
			return a.withKeeper(func(m *admin.Local) error {
				return a.retirePepper(cmd.Context(), m, args[0], f)
			})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.revokeRemaining, "revoke-remaining", false, "revoke the keys that need it")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func (a *app) retirePepper(ctx context.Context, m *admin.Local, id string, f *retireFlags) error {
	if err := m.MayRetirePepper(ctx, id); err != nil && (!f.revokeRemaining || !isA[*store.PepperNeededError](err)) {
		return err
	}
	var need []*keys.Key
	if f.revokeRemaining {
		var err error
		if need, err = m.NeedPepper(ctx, id); err != nil {
			return err
		}
	}
	if !f.yes {
		if err := a.confirmRetire(ctx, id, need); err != nil {
			return err
		}
	}
	ended, err := freeAll(ctx, m, need, id)
	if err != nil {
		return err
	}
	resealed, err := m.RetirePepper(ctx, id)
	if err != nil {
		return err
	}
	return a.printRetired(id, ended, resealed)
}

func (a *app) confirmRetire(ctx context.Context, id string, need []*keys.Key) error {
	if len(need) == 0 {
		return a.sure(ctx, false, "pepper retire", "Retire pepper "+id+"? Earlier backups of the database need it.")
	}
	return a.confirmNumber(ctx, need)
}

// ended holds the keys that needed a pepper: revoked ones, and those whose old secret ended.
type ended struct{ revoked, finished []*keys.Key }

// freeAll revokes all of them, also after a failure, and reports the failures at the end.
func freeAll(ctx context.Context, m *admin.Local, need []*keys.Key, id string) (ended, error) {
	var e ended
	var failed []failure
	for _, k := range need {
		after, err := m.FreePepper(ctx, k, id, "pepper "+id+" retired")
		switch {
		case err != nil:
			failed = append(failed, failure{label(k), outcomeOf(err).code, sentence(err)})
		case after.RevokedAt.IsZero():
			e.finished = append(e.finished, after)
		default:
			e.revoked = append(e.revoked, after)
		}
	}
	if len(failed) > 0 {
		return e, &partialError{"could not be revoked; the others were, and the pepper was not retired", failed}
	}
	return e, nil
}

func (a *app) printRetired(id string, e ended, resealed int) error {
	if a.output == formatJSON {
		return a.printJSON(map[string]any{"id": id, "revoked": idsOf(e.revoked), "finished": idsOf(e.finished), "resealed": resealed})
	}
	var b strings.Builder
	for _, k := range e.revoked {
		fmt.Fprintf(&b, "%s revoked\n", label(k))
	}
	for _, k := range e.finished {
		fmt.Fprintf(&b, "%s: its old secret ended\n", label(k))
	}
	fmt.Fprintf(&b, "pepper %s is retired and removed from the pepper file\n", id)
	if err := a.print(b.String()); err != nil {
		return err
	}
	if resealed > 0 {
		a.say("re-sealed %s", wording.Counted(resealed, "key", "keys"))
	}
	a.say("Earlier backups of the database need it: keep a backup of the pepper file as long as you keep them.")
	return nil
}

func idsOf(list []*keys.Key) []string {
	ids := make([]string, 0, len(list))
	for _, k := range list {
		ids = append(ids, k.ID)
	}
	return ids
}
