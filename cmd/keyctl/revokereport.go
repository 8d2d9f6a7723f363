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
	_, err := a.tell(targets, "could not be revoked; the others are", func(t *target) string {
		return label(t.key) + " revoked: no guard on " + where + " accepts it from now on\n"
	})
	return err
}

// reportTargets is the dry run: whom it would be, and whom it could not be.
func (a *app) reportTargets(targets []*target) error {
	n, err := a.tell(targets, "cannot be revoked; nothing was changed", func(t *target) string {
		return fmt.Sprintf("%s would be revoked: it is %s\n", label(t.key), t.key.Status(a.now()))
	})
	if err == nil && a.output != formatJSON {
		a.say("dry run: %d to revoke, nothing was changed", n)
	}
	return err
}

// tell says what becomes of each target, and why of those where nothing does. It returns
// how many did not.
func (a *app) tell(targets []*target, failing string, line func(*target) string) (int, error) {
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

// where the guards are that a change is known to by the time it returns.
func (a *app) where() string {
	if s, err := a.settings(); err == nil && s.Server != "" {
		return "the server"
	}
	return "this machine"
}
