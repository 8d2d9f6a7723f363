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
		Short:   "Add and retire the secrets beside the database",
		GroupID: groupStore,
		Long: `Show, add and retire peppers: the secrets in the file beside the database without
which nothing in it can be verified or forged. One is current, and what is made
now is made with it; retired ones verify what was made with them before.

To replace a pepper: add a new one, wait until the keys that are in use have been
used, which moves each to the new one, and retire the old. See
docs/operations.md.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddGroup(&cobra.Group{ID: groupPepper, Title: "Commands"})
	cmd.AddCommand(newPepperList(a), newPepperAdd(a), newPepperRetire(a))
	return cmd
}

// withKeeper runs do on the key store of this machine, and closes it.
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
		Short:   "Show the peppers, and what needs each",
		GroupID: groupPepper,
		Long: `Show the peppers of the key store by their ids, and how many keys need each. A
live key, also a disabled one, is dead without the pepper that its secret was
made with. What was retired is missing, and listed while dead keys name it.
SECRETS are all that were made with it, SEALS the rows that were sealed with it.
Nothing of a pepper itself is shown. All keys are read for it.`,
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
		{heading: "LIVE KEYS"},
		{heading: "DEAD KEYS"},
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

// pepperWidth is as much as is shown of an id; one that somebody planted may be longer.
const pepperWidth = 12

func noteOnPepper(u *store.PepperUse) string {
	switch {
	case u.State == store.PepperMissing && u.Noted:
		return "is not in the file: restore the file from your backup"
	case u.State == store.PepperMissing && (u.LiveKeys > 0 || u.Seals > 0):
		return "is not in the file, and keys name it that should not: somebody edited the database"
	case u.State == store.PepperRetired && !u.Noted:
		return "is in the file and needed for nothing: to retire it was begun and not ended; retire it again"
	}
	return ""
}

func newPepperAdd(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "add",
		Short:   "Make a new pepper, with which keys are made from now on",
		GroupID: groupPepper,
		Long: `Make a new pepper and put it into the pepper file, as the current one. The one
before it is retired and goes on to verify: no key stops working. Each key moves
to the new pepper when it is used or rotated.

Back the pepper file up again afterwards: without the new pepper, what is made from
now on is dead. Servers on this machine that have the key store open take the new
pepper up by themselves. One that sees a copy of the pepper file, or the file alone
mounted into its container, must be given the new file first, and started again.`,
		Example: "  keyctl pepper add",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.sure(cmd.Context(), yes, "pepper add", "Add a pepper? Its file must be backed up again."); err != nil {
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
	if err := a.print(fmt.Sprintf("pepper %s is the current one\n", id)); err != nil {
		return err
	}
	a.say("Back up %s again, now: without it, what is made from now on is dead.", wording.Clean(file))
	a.say("Servers that have this key store open take it up with their next request.")
	return nil
}

// sure asks before something that has consequences. Off a terminal --yes must be said.
func (a *app) sure(ctx context.Context, yes bool, command, question string) error {
	if yes {
		return nil
	}
	if !a.canAsk() {
		return usagef("%s asks first, and nobody is there to answer; say --yes", command)
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
		Short:   "Remove an old pepper that no key needs any more",
		GroupID: groupPepper,
		Long: `Remove an old pepper from the pepper file and from the key store. While live keys
need it, that is refused: keys that are used move by themselves, others have to be
rotated or revoked. --revoke-remaining revokes them; of a rotation that is under
way it ends the old secret alone.

The rows of dead keys stay, and stay readable. Backups of the database that were made
before need the pepper: keep a backup of its file for as long as you keep those.`,
		Example: `  keyctl pepper list
  keyctl pepper retire pAb3dE9
  keyctl pepper retire pAb3dE9 --revoke-remaining`,
		Args: oneArg("the ID of a pepper; `keyctl pepper list` shows them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !f.yes && !a.canAsk() {
				return usagef("pepper retire asks first, and nobody is there to answer; say --yes")
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
		return a.sure(ctx, false, "pepper retire", "Retire pepper "+id+"? Backups of the database that were made before need it.")
	}
	return a.confirmNumber(ctx, need)
}

// ended is what became of the keys that needed a pepper.
type ended struct{ revoked, finished []*keys.Key }

// freeAll goes through all of them, whatever fails: a pepper that is needed by one key
// is better than one that is needed by many.
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
		return e, &partialError{"could not be revoked; the others are, and the pepper stays", failed}
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
	fmt.Fprintf(&b, "pepper %s is retired: it is in the file no more\n", id)
	if err := a.print(b.String()); err != nil {
		return err
	}
	if resealed > 0 {
		a.say("re-sealed %d keys", resealed)
	}
	a.say("Backups of the database that were made before need it: keep a backup of the pepper file for as long as those.")
	return nil
}

func idsOf(list []*keys.Key) []string {
	ids := make([]string, 0, len(list))
	for _, k := range list {
		ids = append(ids, k.ID)
	}
	return ids
}
