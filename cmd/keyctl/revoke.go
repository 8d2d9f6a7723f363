package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/app/connect"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/verifier"
)

type revokeFlags struct {
	reason, owner, audience string
	allExpired              bool
	dryRun, yes             bool
	effect                  effect
}

func newRevoke(a *app) *cobra.Command {
	f := &revokeFlags{}
	cmd := &cobra.Command{
		Use:     "revoke KEY...|-",
		Short:   "End keys permanently, at once",
		GroupID: groupKeys,
		Long: `End keys permanently: once this returns, no guard accepts them, on any host. It
cannot be undone. Revoking a revoked key changes nothing.

It waits until each guard on another host has dropped the keys: some
milliseconds, or 2.1 s if one does not answer. --no-wait returns at once.

` + keyReference + `
A key that was changed outside mcpkeys can be revoked too. With - the secret is
read from standard input: use it for a leaked secret of an unknown key.

Instead of KEYs, --owner, --audience and --all-expired select the unrevoked keys
that match every flag you give. --audience does not select keys without an
audience, which every server accepts.`,
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
				return usagef("revoke asks first, but standard input is not a terminal; use --yes")
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
	flags.StringVar(&f.reason, "reason", "", "write `TEXT` into the audit log as the reason")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	f.effect.register(cmd)
	formats(cmd, formatTable, formatJSON)
	return cmd
}

// target is one key to revoke, and the result.
type target struct {
	typed string // empty for a key that a flag selected
	place int    // its number among the arguments, from 1
	key   *keys.Key
	note  string
	err   error
}

func (a *app) revoke(ctx context.Context, m admin.Manager, refs []string, f *revokeFlags) error {
	targets, err := a.targets(ctx, m, refs, f)
	if err != nil {
		return err
	}
	switch {
	case f.dryRun:
		return a.reportTargets(targets)
	case f.selects() && len(targets) == 0:
		a.say("no unrevoked key matches; nothing was revoked")
		return a.reportRevoked(targets, &f.effect)
	case f.yes:
	case f.selects():
		err = a.confirmNumber(ctx, keysOf(targets))
	default:
		err = a.confirm(ctx, targets)
	}
	if err != nil {
		return err
	}
	f.effect.revokeAll(ctx, m, targets, f.reason)
	return a.reportRevoked(targets, &f.effect)
}

// revokeAll revokes the keys, and waits once for all of them: to revoke the last one again
// changes nothing, and waits for everything before it.
func (e *effect) revokeAll(ctx context.Context, m admin.Manager, targets []*target, reason string) {
	if len(targets) == 1 {
		targets[0].revoke(e.of(ctx), m, reason)
		return
	}
	var last *target
	for _, t := range targets {
		t.revoke(store.WithWait(ctx, &store.Wait{No: true}), m, reason)
		if t.err == nil {
			last = t
		}
	}
	if last == nil || e.noWait {
		return
	}
	if _, err := m.Revoke(e.of(ctx), last.key.ID, reason); err != nil {
		last.err = fmt.Errorf("the keys are revoked, but guards on other hosts may accept them for %s more: %w", feed.LongestLease, err)
	}
}

func (a *app) targets(ctx context.Context, m admin.Manager, refs []string, f *revokeFlags) ([]*target, error) {
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

const noteTampered = "the key had been changed outside mcpkeys"

// find finds the key that was typed. A key that was changed outside mcpkeys can be revoked
// too.
func (t *target) find(ctx context.Context, a *app, m admin.Manager) {
	t.key, t.err = a.resolve(ctx, m, t.typed)
	if errors.Is(t.err, keys.ErrTampered) && t.key != nil {
		t.err, t.note = nil, noteTampered
	}
}

func (t *target) revoke(ctx context.Context, m admin.Manager, reason string) {
	if t.err != nil {
		return
	}
	if !t.key.RevokedAt.IsZero() && t.note == "" { // the row of a tampered key is not believed
		t.note = "already revoked; nothing changed"
	}
	revoked, err := m.Revoke(ctx, t.key.ID, reason)
	switch {
	case err != nil:
		t.err = err
	case revoked.RevokedAt.IsZero():
		t.err = fmt.Errorf("key %s was not revoked, although the key store reported no error: servers may still accept it; try again, and if that does not help, stop those servers", wording.Clean(t.key.ID))
	default:
		t.key = revoked
	}
}

func keysOf(targets []*target) []*keys.Key {
	var list []*keys.Key
	for _, t := range targets {
		list = append(list, t.key)
	}
	return list
}

// mention names t in a list of failures.
func (t *target) mention() string {
	if t.typed == "" {
		return label(t.key)
	}
	return mention(t.typed, t.place)
}

// selects reports whether flags select the keys.
func (f *revokeFlags) selects() bool { return f.owner != "" || f.audience != "" || f.allExpired }

// check wants either KEYs or flags that select keys. An empty owner or audience may come from
// an unset variable of a script, and must not select keys.
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
		return usagef("revoke takes KEYs, or flags that select keys, not both")
	}
	return nil
}

func (f *revokeFlags) query() keys.Query {
	q := keys.Query{Unrevoked: true, Audience: f.audience}
	if f.owner != "" {
		q.Owner = &f.owner
	}
	if f.allExpired {
		q.Status = keys.StatusExpired
	}
	return q
}

// selected finds all keys before any is revoked. Admin keys come last: one of them may be the
// caller's own, and after its revocation the rest would be refused.
func selected(ctx context.Context, m admin.Manager, q keys.Query) ([]*target, error) {
	var found keys.Page
	_, err := eachPage(ctx, m, q, 0, func(page keys.Page) error {
		collect(&found, page)
		return nil
	})
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

// leaked reads a secret from standard input and finds its key. The id alone is not enough:
// anyone could make up a token with the id of another key, to get that key revoked.
func (a *app) leaked(ctx context.Context, m admin.Manager) (_ *target, err error) {
	token, err := a.readKey(ctx)
	if err != nil {
		return nil, err
	}
	if token == "" {
		return nil, usagef("standard input is empty; give the key there: keyctl revoke - <FILE")
	}
	s, err := a.settings()
	if err != nil {
		return nil, err
	}
	checker, err := s.Checker(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, checker.Close()) }()
	d := checker.Check(ctx, token, verifier.Call{})
	switch d.Code {
	case keys.CodeMalformed, keys.CodeNoCredential:
		why := "not a valid key"
		if flaw := keys.Flaw(token); flaw != "" {
			why += ": the text " + flaw
		}
		return nil, fmt.Errorf("%w: %s; if you can read its id, the 12 characters after the first _, run `keyctl revoke ID`", keys.ErrNotFound, why)
	case keys.CodeSuperseded:
		return nil, &supersededError{fmt.Sprintf("nothing was revoked: a rotation ended secret %d of key %s at %s, and no guard accepts it; "+
			"if the key's newer secret may have leaked too, run `%s`", d.Secret, d.KeyID, a.when(d.Ends), a.command("revoke", d.KeyID))}
	case keys.CodeNotFound:
		return nil, fmt.Errorf("%w: this key store never issued this key, so nothing was revoked", keys.ErrNotFound)
	}
	t := &target{}
	if t.key, t.err = m.Key(ctx, d.KeyID); errors.Is(t.err, keys.ErrTampered) && t.key != nil {
		t.err, t.note = nil, noteTampered
	}
	if t.err == nil && d.Code == keys.CodeUnavailable && t.note == "" {
		t.err = d.Cause
	}
	return t, t.err
}

// supersededError ends revoke - for a secret that a rotation ended, of a key that is valid.
type supersededError struct{ text string }

func (e *supersededError) Error() string { return e.text }

// confirm asks once for all keys that were found.
func (a *app) confirm(ctx context.Context, targets []*target) error {
	var labels []string
	for _, t := range targets {
		if t.err == nil {
			labels = append(labels, label(t.key))
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

func (a *app) reportRevoked(targets []*target, e *effect) error {
	refusal := a.refusal(e)
	_, err := a.tell(targets, e, "could not be revoked; the others were", func(t *target) string {
		return label(t.key) + " revoked: " + refusal + "\n"
	})
	if err == nil && a.output != formatJSON {
		a.noteEffect(e)
	}
	return err
}

// reportTargets is the dry run: it lists the keys that would be revoked, and the failures.
func (a *app) reportTargets(targets []*target) error {
	n, err := a.tell(targets, &effect{}, "cannot be revoked; nothing was changed", func(t *target) string {
		return fmt.Sprintf("%s would be revoked: it is %s\n", label(t.key), t.key.Status(a.now()))
	})
	if err == nil && a.output != formatJSON {
		a.say("dry run: %s would be revoked; nothing was changed", wording.Counted(n, "key", "keys"))
	}
	return err
}

// tell prints line for each target, and collects the failures in an error. It returns the
// number of targets that did not fail.
func (a *app) tell(targets []*target, e *effect, failing string, line func(*target) string) (int, error) {
	var failed []failure
	done := []api.Key{}
	for _, t := range targets {
		if t.err != nil {
			failed = append(failed, failure{t.mention(), outcomeOf(t.err).code, sentence(t.err)})
			continue
		}
		done = append(done, e.json(wire.Key(t.key, a.now())))
		if a.output == formatJSON {
			continue
		}
		if err := a.print(line(t)); err != nil {
			return 0, err
		}
		if t.note != "" {
			a.say("note: %s", t.note)
		}
	}
	switch {
	case len(targets) == 1 && targets[0].err != nil:
		return 0, targets[0].err
	case len(failed) > 0:
		return len(done), &partialError{failing, failed}
	case a.output == formatJSON:
		return len(done), a.printJSON(done)
	}
	return len(done), nil
}
