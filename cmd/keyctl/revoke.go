package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/connect"
	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

type revokeFlags struct {
	reason string
	yes    bool
}

func newRevoke(a *app) *cobra.Command {
	f := &revokeFlags{}
	cmd := &cobra.Command{
		Use:     "revoke KEY...",
		Short:   "End keys for good, at once",
		GroupID: groupKeys,
		Long: `End keys for good: once this returns, no guard on this machine, or with --server
on the server's, accepts them from then on. It cannot be undone. To revoke a
revoked key again changes nothing.

` + keyReference + `
A key that was changed outside mcpkeys can be revoked too.`,
		Example: `  keyctl revoke ci --reason 'laptop lost'
  keyctl revoke ci nightly-report --yes`,
		ValidArgsFunction: a.completeKeys,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("revoke needs a KEY: a name or an id; `keyctl list` shows them")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := keys.ValidateText("reason", f.reason); err != nil {
				return err
			}
			if !f.yes && !a.canAsk() {
				return usagef("revoke asks first, and nobody is there to answer; say --yes")
			}
			return a.withAdmin(cmd.Context(), func(m *connect.Admin) error {
				return a.revoke(cmd.Context(), m, args, f)
			})
		},
	}
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, a `TEXT` for the audit log")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	formats(cmd, formatTable, formatJSON)
	return cmd
}

// target is one argument of revoke, and what came of it.
type target struct {
	typed string
	place int // among the arguments, from 1
	key   *keys.Key
	note  string
	err   error
}

func (a *app) revoke(ctx context.Context, m keys.Manager, refs []string, f *revokeFlags) error {
	targets := make([]*target, len(refs))
	for i, ref := range refs {
		targets[i] = &target{typed: ref, place: i + 1}
		targets[i].find(ctx, a, m)
	}
	if !f.yes {
		if err := a.confirm(ctx, targets); err != nil {
			return err
		}
	}
	for _, t := range targets {
		t.revoke(ctx, m, f.reason)
	}
	return a.reportRevoked(targets)
}

// find resolves what was typed. That the key was changed outside mcpkeys is no
// reason not to revoke it.
func (t *target) find(ctx context.Context, a *app, m keys.Manager) {
	t.key, t.err = a.resolve(ctx, m, t.typed)
	if errors.Is(t.err, keys.ErrNotFound) {
		t.findRevoked(ctx, m)
	}
	if errors.Is(t.err, keys.ErrTampered) && t.key != nil {
		t.err, t.note = nil, "it had been changed outside mcpkeys"
	}
}

// findRevoked makes a second revoke by name succeed like the first: names refer to
// unrevoked keys only, so the first one took the name away.
func (t *target) findRevoked(ctx context.Context, m keys.Manager) {
	k, err := keys.ResolveRevoked(ctx, m, t.typed)
	if !errors.Is(err, keys.ErrNotFound) {
		t.key, t.err = k, err
	}
}

func (t *target) revoke(ctx context.Context, m keys.Manager, reason string) {
	if t.err != nil {
		return
	}
	if !t.key.RevokedAt.IsZero() && t.note == "" { // what an edited row says of it counts for nothing
		t.note = "it had been revoked before"
	}
	revoked, err := m.Revoke(ctx, t.key.ID, reason)
	switch {
	case err != nil:
		t.err = err
	case revoked.RevokedAt.IsZero():
		t.err = fmt.Errorf("key %s was not revoked, though the key store reported no error: servers may still accept it; try again, and stop those servers if it stays so", wording.Clean(t.key.ID))
	default:
		t.key = revoked
	}
}

func (t *target) label() string {
	return fmt.Sprintf("%s (%s)", wording.Clean(t.key.Label()), wording.Clean(t.key.ID))
}

// confirm asks once for all keys that were found.
func (a *app) confirm(ctx context.Context, targets []*target) error {
	var labels []string
	for _, t := range targets {
		if t.err == nil {
			labels = append(labels, t.label())
		}
	}
	question := "Revoke " + strings.Join(labels, ", ") + "?"
	switch len(labels) {
	case 0:
		return nil
	case 1:
	default:
		question = fmt.Sprintf("Revoke %d keys: %s?", len(labels), strings.Join(labels, ", "))
	}
	yes, err := ask(ctx, question)
	if err != nil {
		return err
	}
	if !yes {
		return usagef("nothing was revoked")
	}
	return nil
}

func (a *app) reportRevoked(targets []*target) error {
	where := "this machine"
	if s, err := a.settings(); err == nil && s.Server != "" {
		where = "the server"
	}
	var failed []failure
	done := []keyJSON{}
	for _, t := range targets {
		if t.err != nil {
			failed = append(failed, failure{mention(t.typed, t.place), outcomeOf(t.err).code, sentence(t.err)})
			continue
		}
		done = append(done, newKeyJSON(t.key, a.now()))
		if a.output == formatJSON {
			continue
		}
		if err := a.print(t.label() + " revoked: no guard on " + where + " accepts it from now on\n"); err != nil {
			return err
		}
		if t.note != "" {
			a.say("note: %s", t.note)
		}
	}
	switch {
	case len(targets) == 1 && targets[0].err != nil:
		return targets[0].err
	case len(failed) > 0:
		return &partialError{failed}
	case a.output == formatJSON:
		return a.printJSON(done)
	}
	return nil
}
