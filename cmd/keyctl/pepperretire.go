package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/keys"
)

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
			return a.withKeeper(func(m *keys.LocalManager) error {
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

func (a *app) retirePepper(ctx context.Context, m *keys.LocalManager, id string, f *retireFlags) error {
	if err := m.MayRetirePepper(ctx, id); err != nil && (!f.revokeRemaining || !isA[*keys.PepperNeededError](err)) {
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
	for _, k := range need {
		a.say("  %s", label(k))
	}
	answer, err := askLine(ctx, "Type the number of keys that will be revoked: ")
	if err != nil {
		return err
	}
	if strings.TrimSpace(answer) != itoa(len(need)) {
		return usagef("nothing was revoked: the number of keys is another")
	}
	return nil
}

// ended is what became of the keys that needed a pepper.
type ended struct{ revoked, finished []*keys.Key }

// freeAll goes through all of them, whatever fails: a pepper that is needed by one key
// is better than one that is needed by many.
func freeAll(ctx context.Context, m *keys.LocalManager, need []*keys.Key, id string) (ended, error) {
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
