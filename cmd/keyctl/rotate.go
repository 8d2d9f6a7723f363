package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/connect"
	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

type rotateFlags struct {
	grace, outFile string
	finish, yes    bool
}

func newRotate(a *app) *cobra.Command {
	f := &rotateFlags{}
	cmd := &cobra.Command{
		Use:     "rotate KEY",
		Short:   "Give a key a new secret, and show it, once",
		GroupID: groupKeys,
		Long: `Give a key a new secret and show it, once, as issue does. All else of the key
stays: its id, what it may do, when it ends. The old secret stays good for the
grace, never past the key's own end, so that clients can change over one by one.

At most two secrets are good at a time. To rotate again during the grace is a
conflict, unless the new secret was never used: then it is replaced. --finish
ends the old secret at once. A dead key does not rotate.

` + keyReference,
		Example: `  keyctl rotate ci
  keyctl rotate ci --grace 7d --out-file new.key
  keyctl rotate ci --finish`,
		Args:              oneArg("a KEY: a name or an id"),
		ValidArgsFunction: a.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := f.request(cmd)
			if err != nil {
				return err
			}
			if f.cutsOver(req) && !f.yes && !a.canAsk() {
				return usagef("rotate --grace 0 ends the old secret at once, so it asks first, and nobody is there to answer; say --yes")
			}
			return a.withAdmin(cmd.Context(), func(m *connect.Admin) error {
				return a.rotate(cmd.Context(), m, args[0], req, f)
			})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.grace, "grace", "", "the old secret stays good for this `TIME`: 24h, 7d, or 0 (default 24h)")
	flags.BoolVar(&f.finish, "finish", false, "end the old secret now; no new one is made")
	flags.StringVar(&f.outFile, "out-file", "", "write the secret to this new `FILE` instead of printing it")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func (f *rotateFlags) request(cmd *cobra.Command) (keys.RotateRequest, error) {
	switch {
	case f.finish && f.outFile != "":
		return keys.RotateRequest{}, usagef("--finish makes no secret, so there is none for --out-file")
	case f.grace == "" && cmd.Flags().Changed("grace"):
		return keys.RotateRequest{}, usagef("--grace is empty; name a time such as 24h, or leave the flag out")
	}
	grace, err := keys.ParseGrace(f.grace)
	return keys.RotateRequest{Grace: grace, Finish: f.finish}, err
}

// cutsOver: whoever uses the old secret is refused from now on.
func (f *rotateFlags) cutsOver(req keys.RotateRequest) bool {
	return req.Grace != nil && *req.Grace == 0
}

func (a *app) rotate(ctx context.Context, m keys.Manager, ref string, req keys.RotateRequest, f *rotateFlags) error {
	k, err := a.resolve(ctx, m, ref)
	if err != nil {
		return err
	}
	if req.Finish {
		return a.finish(ctx, m, k, req)
	}
	if f.cutsOver(req) && !f.yes {
		yes, err := ask(ctx, "Rotate "+label(k)+", and end its old secret at once?")
		if err != nil {
			return err
		}
		if !yes {
			return usagef("nothing was rotated")
		}
	}
	file, err := newSecretFile(f.outFile, "rotated")
	if err != nil {
		return err
	}
	issued, err := m.Rotate(ctx, k.ID, req)
	if err != nil {
		return errors.Join(err, file.remove())
	}
	if err := a.handOver(issued.Token, file, a.rotatedCard(issued.Key)); err != nil {
		return fmt.Errorf("key %s was rotated, but its new secret could not be handed over; rotate it again: %w", k.ID, err)
	}
	return nil
}

func (a *app) rotatedCard(k *keys.Key) card {
	return card{
		top: func() {
			a.say("rotated %s\n", a.bold(a.stderr, wording.Clean(k.Label())))
			rows := []row{{"id", k.ID}}
			for _, s := range k.Secrets {
				rows = append(rows, row{"secret " + strconv.FormatInt(s.Number, 10), a.aboutSecret(&s)})
			}
			rows = append(rows, row{"expires", a.deadline(k.ExpiresAt)})
			a.say("%s\n", strings.TrimRight(aligned(rows, a.width(a.stderr)), "\n"))
		},
		bottom: func() {
			if len(k.Secrets) < 2 {
				a.say("\nThe old secret ended: no guard on %s accepts it from now on.", a.where())
				return
			}
			a.say("\nto end the old one sooner: %s --finish", a.about("rotate", k))
		},
		json: func(secret string) any {
			return rotatedJSON{newKeyJSON(k, a.now()), secretsJSON(k), secret}
		},
	}
}

// finish ends a rotation. That there was none is no failure: the key has one secret.
func (a *app) finish(ctx context.Context, m keys.Manager, k *keys.Key, req keys.RotateRequest) error {
	done, err := m.Rotate(ctx, k.ID, req)
	if err != nil {
		return err
	}
	k, before := done.Key, k.Version
	if a.output == formatJSON {
		return a.printJSON(rotatedJSON{newKeyJSON(k, a.now()), secretsJSON(k), ""})
	}
	if k.Version == before {
		return a.print(label(k) + ": no rotation is under way\n")
	}
	return a.print(label(k) + ": its old secret ended, no guard on " + a.where() + " accepts it from now on\n")
}

// label names a key in one line of a result.
func label(k *keys.Key) string {
	return fmt.Sprintf("%s (%s)", wording.Clean(k.Label()), wording.Clean(k.ID))
}
