package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

type rotateFlags struct {
	grace, expires, outFile string
	finish, replace         int64
	yes                     bool
	effect                  effect
}

func newRotate(a *app) *cobra.Command {
	f := &rotateFlags{}
	cmd := &cobra.Command{
		Use:     "rotate KEY",
		Short:   "Give a key a new secret and show it, once",
		GroupID: groupKeys,
		Long: `Give a key a new secret and show it, once, as issue does. Nothing else about the
key changes, unless --expires gives it a new expiry. The old secret stays valid
for the grace, but not longer than the key, so that clients can change one by
one.

At most two secrets are valid at a time. Rotating again during the grace is a
conflict: --finish ends the old secret, --replace ends the newest secret and
makes another in its place. Each takes the number of the secret that it ends;
show prints the numbers. A disabled, revoked or expired key cannot be rotated.

` + keyReference,
		Example: `  keyctl rotate ci --expires 90d
  keyctl rotate ci --grace 7d --out-file new.key
  keyctl rotate ci --finish 1`,
		Args:              oneArg("a KEY: a name or an id"),
		ValidArgsFunction: a.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := f.request(cmd)
			if err != nil {
				return err
			}
			if f.cutsOver(req) && !f.yes && !a.canAsk() {
				return usagef("rotate --grace 0 ends the old secret at once and asks first, but standard input is not a terminal; use --yes")
			}
			return a.withAdmin(cmd.Context(), func(m *connect.Admin) error {
				return a.rotate(cmd.Context(), m, args[0], req, f)
			})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.grace, "grace", "", "the old secret stays valid for this `TIME`: 24h, 7d, or 0 (default 24h)")
	flags.StringVar(&f.expires, "expires", "", "renew the key until `TIME`: 90d (from now), 2027-01-31, never")
	flags.Int64Var(&f.finish, "finish", 0, "end the old secret with this `NUMBER` now; make no new one")
	flags.Int64Var(&f.replace, "replace", 0, "end the newest secret, which has this `NUMBER`, and make another")
	flags.StringVar(&f.outFile, "out-file", "", "write the secret to this new `FILE` instead of printing it")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	f.effect.register(cmd)
	formats(cmd, formatTable, formatJSON)
	return cmd
}

func (f *rotateFlags) request(cmd *cobra.Command) (req admin.RotateRequest, err error) {
	changed := cmd.Flags().Changed
	switch {
	case changed("finish") && f.finish < 1, changed("replace") && f.replace < 1:
		return req, usagef("--finish and --replace take the number of a secret; `keyctl show` prints the numbers")
	case f.finish != 0 && f.outFile != "":
		return req, usagef("--finish makes no new secret; leave --out-file out")
	case f.grace == "" && changed("grace"):
		return req, usagef("--grace is empty; name a time such as 24h, or leave the flag out")
	case f.expires == "" && changed("expires"):
		return req, usagef("--expires is empty; name a time such as 90d, or leave the flag out")
	}
	req = admin.RotateRequest{Finish: f.finish, Replace: f.replace}
	if req.Grace, err = admin.ParseGrace(f.grace); err != nil {
		return req, err
	}
	if f.expires != "" {
		e, err := keys.ParseExpiry(f.expires)
		if err != nil {
			return req, err
		}
		req.Expires = &e
	}
	return req, req.Validate()
}

// cutsOver reports whether the old secret ends at once.
func (f *rotateFlags) cutsOver(req admin.RotateRequest) bool {
	return req.Grace != nil && *req.Grace == 0
}

func (a *app) rotate(ctx context.Context, m admin.Manager, ref string, req admin.RotateRequest, f *rotateFlags) error {
	k, err := a.resolve(ctx, m, ref)
	if err != nil {
		return err
	}
	if req.Finish != 0 {
		return a.finish(ctx, m, k, req, &f.effect)
	}
	if f.cutsOver(req) && !f.yes {
		yes, err := ask(ctx, "Rotate "+label(k)+" and end its old secret at once?")
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
	issued, err := m.Rotate(f.effect.of(ctx), k.ID, req)
	if err != nil {
		return errors.Join(a.waysOn(k, err), file.remove())
	}
	if err := a.handOver(issued.Token, file, a.rotatedCard(issued.Key, &f.effect)); err != nil {
		newest := issued.Key.Secrets[len(issued.Key.Secrets)-1].Number
		return fmt.Errorf("key %s was rotated, but its new secret could not be handed over; replace it with `%s --replace %d`: %w", k.ID, a.command("rotate", k.ID), newest, err)
	}
	return nil
}

// rotationError is a conflict of rotations, with the commands that solve it.
type rotationError struct {
	*admin.RotationError
	finish, replace string
}

func (e *rotationError) Unwrap() error { return e.RotationError }

func (e *rotationError) Error() string {
	if e.Old == 0 {
		return fmt.Sprintf("secret %d is the only valid secret of this key; `%s` ends it and makes another", e.Newest, e.replace)
	}
	return fmt.Sprintf("this key has two valid secrets: %d, which ends at %s, and %d; `%s` ends secret %[1]d now, `%[5]s` ends secret %[3]d now and makes another",
		e.Old, e.Until.UTC().Format(time.RFC3339), e.Newest, e.finish, e.replace)
}

// waysOn adds to a conflict of rotations the commands that solve it.
func (a *app) waysOn(k *keys.Key, err error) error {
	var conflict *admin.RotationError
	if !errors.As(err, &conflict) {
		return err
	}
	command := a.about("rotate", k)
	return &rotationError{
		conflict, fmt.Sprintf("%s --finish %d", command, conflict.Old), fmt.Sprintf("%s --replace %d", command, conflict.Newest),
	}
}

func (a *app) rotatedCard(k *keys.Key, e *effect) card {
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
			a.warnings(k)
			if len(k.Secrets) < 2 {
				a.say("\nThe old secret has ended: %s.", a.refusal(e))
				a.noteEffect(e)
				return
			}
			a.say("\nto end the old secret sooner: %s --finish %d", a.about("rotate", k), k.Secrets[0].Number)
		},
		json: func(secret string) any {
			return api.Issued{Key: e.json(changedJSON(k, a.now())), Secret: secret}
		},
	}
}

// finish ends the old secret of a rotation. It is not an error if that had ended before.
func (a *app) finish(ctx context.Context, m admin.Manager, k *keys.Key, req admin.RotateRequest, e *effect) error {
	done, err := m.Rotate(e.of(ctx), k.ID, req)
	if err != nil {
		return a.waysOn(k, err)
	}
	k, before := done.Key, k.Version
	if a.output == formatJSON {
		return a.printJSON(e.json(changedJSON(k, a.now())))
	}
	defer a.noteEffect(e)
	if k.Version == before {
		return a.print(fmt.Sprintf("%s: secret %d had already ended\n", label(k), req.Finish))
	}
	return a.print(fmt.Sprintf("%s: secret %d has ended: %s\n", label(k), req.Finish, a.refusal(e)))
}

// label is the name and id of a key, for a line of a result.
func label(k *keys.Key) string {
	return fmt.Sprintf("%s (%s)", wording.Clean(k.Label()), wording.Clean(k.ID))
}
