package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/internal/connect"
	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

type revokeFlags struct {
	reason, owner, audience string
	allExpired              bool
	dryRun, yes             bool
}

func newRevoke(a *app) *cobra.Command {
	f := &revokeFlags{}
	cmd := &cobra.Command{
		Use:     "revoke KEY...|-",
		Short:   "End keys for good, at once",
		GroupID: groupKeys,
		Long: `End keys for good: once this returns, no guard on this machine, or with --server
on the server's, accepts them from then on. It cannot be undone. To revoke a
revoked key again changes nothing.

` + keyReference + `
A key that was changed outside mcpkeys can be revoked too. With - a whole key is
read from standard input, for one that leaked and of which no more is known.

Instead of KEYs, --owner, --audience and --all-expired say which of the
unrevoked keys are meant; together they narrow. A key without an audience is
good at every server, and --audience does not find it.`,
		Example: `  keyctl revoke ci --reason 'laptop lost'
  keyctl revoke ci nightly-report --yes
  keyctl revoke --owner data-team --dry-run
  keyctl revoke - --yes <leaked.txt`,
		ValidArgsFunction: a.completeKeys,
		Args:              func(cmd *cobra.Command, args []string) error { return f.check(cmd, args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := keys.ValidateText("reason", f.reason); err != nil {
				return err
			}
			if !f.yes && !f.dryRun && !a.canAsk() {
				return usagef("revoke asks first, and nobody is there to answer; say --yes")
			}
			return a.withAdmin(cmd.Context(), func(m *connect.Admin) error {
				return a.revoke(cmd.Context(), m, args, f)
			})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.owner, "owner", "", "all keys of this `OWNER`")
	flags.StringVar(&f.audience, "audience", "", "all keys that name this `SERVER`")
	flags.BoolVar(&f.allExpired, "all-expired", false, "all keys that have expired")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only print which keys would be revoked")
	flags.StringVar(&f.reason, "reason", "", "why, a `TEXT` for the audit log")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	formats(cmd, formatTable, formatJSON)
	return cmd
}

// target is one key that revoke is about, and what came of it.
type target struct {
	typed string // empty for one that was selected
	place int    // among the arguments, from 1
	key   *keys.Key
	note  string
	err   error
}

func (a *app) revoke(ctx context.Context, m keys.Manager, refs []string, f *revokeFlags) error {
	targets, err := a.targets(ctx, m, refs, f)
	if err != nil {
		return err
	}
	switch {
	case f.dryRun:
		return a.reportTargets(targets)
	case f.selects() && len(targets) == 0:
		a.say("no unrevoked key fits; nothing was revoked")
		return a.reportRevoked(targets)
	case f.yes:
	case f.selects():
		err = a.confirmMany(ctx, targets)
	default:
		err = a.confirm(ctx, targets)
	}
	if err != nil {
		return err
	}
	for _, t := range targets {
		t.revoke(ctx, m, f.reason)
	}
	return a.reportRevoked(targets)
}

func (a *app) targets(ctx context.Context, m keys.Manager, refs []string, f *revokeFlags) ([]*target, error) {
	if f.selects() {
		return selected(ctx, m, f.query())
	}
	if slices.Equal(refs, []string{"-"}) {
		t, err := a.leaked(ctx, m)
		return []*target{t}, err
	}
	targets := make([]*target, len(refs))
	for i, ref := range refs {
		targets[i] = &target{typed: ref, place: i + 1}
		targets[i].find(ctx, a, m)
	}
	return targets, nil
}

const noteTampered = "it had been changed outside mcpkeys"

// find resolves what was typed. That the key was changed outside mcpkeys is no
// reason not to revoke it.
func (t *target) find(ctx context.Context, a *app, m keys.Manager) {
	t.key, t.err = a.resolve(ctx, m, t.typed)
	if errors.Is(t.err, keys.ErrTampered) && t.key != nil {
		t.err, t.note = nil, noteTampered
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

// mention names t in a list of failures.
func (t *target) mention() string {
	if t.typed == "" {
		return label(t.key)
	}
	return mention(t.typed, t.place)
}
