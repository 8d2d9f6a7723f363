package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/keys"
)

// selects reports whether keys are meant by what they have in common.
func (f *revokeFlags) selects() bool { return f.owner != "" || f.audience != "" || f.allExpired }

// check wants keys, one way or the other. An empty owner or audience is what a
// script's unset variable looks like, and must not mean anybody's keys.
func (f *revokeFlags) check(cmd *cobra.Command, args []string) error {
	for _, flag := range []string{"owner", "audience"} {
		if cmd.Flags().Changed(flag) && cmd.Flags().Lookup(flag).Value.String() == "" {
			return usagef("--%s is empty; name one, or leave the flag out", flag)
		}
	}
	if err := checkFilters("", f.audience); err != nil {
		return err
	}
	switch {
	case len(args) == 0 && !f.selects():
		return usagef("revoke needs a KEY: a name or an id; `keyctl list` shows them")
	case len(args) > 0 && f.selects():
		return usagef("revoke takes KEYs, or flags that say which keys are meant, not both")
	}
	return nil
}

func (f *revokeFlags) query() keys.Query {
	q := keys.Query{Unrevoked: true, Audience: f.audience, Limit: keys.MaxLimit}
	if f.owner != "" {
		q.Owner = &f.owner
	}
	if f.allExpired {
		q.Status = keys.StatusExpired
	}
	return q
}

// selected finds the keys before any is revoked. Admin keys come last: one of them may
// be the caller's own, and what comes after that is refused.
func selected(ctx context.Context, m keys.Manager, q keys.Query) ([]*target, error) {
	found, err := pages(ctx, m, q, 0)
	if err != nil {
		return nil, err
	}
	var ordinary, admins []*target
	for _, k := range found.Keys {
		t := &target{key: k}
		if slices.Contains(found.Tampered, k.ID) {
			t.note = noteTampered
		}
		if k.Kind == keys.KindAdmin {
			admins = append(admins, t)
			continue
		}
		ordinary = append(ordinary, t)
	}
	return append(ordinary, admins...), nil
}

// confirmMany wants the number typed: who did not read it cannot know it.
func (a *app) confirmMany(ctx context.Context, targets []*target) error {
	for _, t := range targets {
		a.say("  %s", label(t.key))
	}
	answer, err := askLine(ctx, "Type the number of keys that will be revoked: ")
	if err != nil {
		return err
	}
	if strings.TrimSpace(answer) != itoa(len(targets)) {
		return usagef("nothing was revoked: the number of keys is another")
	}
	return nil
}
