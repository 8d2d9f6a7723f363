package main

import (
	"context"
	"fmt"
	"strings"
)

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

func (a *app) reportRevoked(targets []*target) error {
	where := a.where()
	var failed []failure
	done := []keyJSON{}
	for _, t := range targets {
		if t.err != nil {
			failed = append(failed, failure{t.mention(), outcomeOf(t.err).code, sentence(t.err)})
			continue
		}
		done = append(done, newKeyJSON(t.key, a.now()))
		if a.output == formatJSON {
			continue
		}
		if err := a.print(label(t.key) + " revoked: no guard on " + where + " accepts it from now on\n"); err != nil {
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
		return &partialError{"could not be revoked; the others are", failed}
	case a.output == formatJSON:
		return a.printJSON(done)
	}
	return nil
}

// reportTargets is the dry run: whom it would be, and whom it could not be.
func (a *app) reportTargets(targets []*target) error {
	var failed []failure
	would := []keyJSON{}
	for _, t := range targets {
		if t.err != nil {
			failed = append(failed, failure{t.mention(), outcomeOf(t.err).code, sentence(t.err)})
			continue
		}
		would = append(would, newKeyJSON(t.key, a.now()))
		if a.output == formatJSON {
			continue
		}
		if err := a.print(fmt.Sprintf("%s would be revoked: it is %s\n", label(t.key), t.key.Status(a.now()))); err != nil {
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
		return &partialError{"cannot be revoked; nothing was changed", failed}
	case a.output == formatJSON:
		return a.printJSON(would)
	}
	a.say("dry run: %d to revoke, nothing was changed", len(would))
	return nil
}

// where the guards are that a change is known to by the time it returns.
func (a *app) where() string {
	if s, err := a.settings(); err == nil && s.Server != "" {
		return "the server"
	}
	return "this machine"
}
