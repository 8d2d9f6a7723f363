package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/wire"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
)

// effect is when a change takes effect on other hosts, and the flag that does not wait for that.
type effect struct {
	noWait bool
	wait   store.Wait
}

func (e *effect) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&e.noWait, "no-wait", false, "do not wait for guards on other hosts")
}

// of is the context of one change. The change before it is forgotten.
func (e *effect) of(ctx context.Context) context.Context {
	e.wait = store.Wait{No: e.noWait}
	return store.WithWait(ctx, &e.wait)
}

// refusal says which guards refuse what the change took away.
func (a *app) refusal(e *effect) string {
	if e.noWait {
		return "guards that open the key store refuse it now, and all others within " + feed.LongestLease.String()
	}
	return "no guard accepts it from now on"
}

// noteEffect adds what a person may want to know of the waiting.
func (a *app) noteEffect(e *effect) {
	if e.wait.Unheard > 0 || e.wait.Waited > slow {
		a.say("note: waited %s until the lease of a guard had ended that did not confirm the\n  change, or of a server that has stopped; `%s` lists the others",
			e.wait.Waited.Round(100*time.Millisecond), a.command("verifiers"))
		for i, guard := range e.wait.Late {
			if i == mostLate {
				a.say("  and %d more", len(e.wait.Late)-mostLate)
				break
			}
			a.say("  did not confirm: %s", guard)
		}
	}
	if left := e.wait.Everywhere.Sub(a.now()); left > 0 && !e.noWait {
		a.say("note: a program that asked the verification API may keep its last answer\n  until %s", a.when(e.wait.Everywhere))
	}
}

// slow is longer than a guard takes to confirm a change.
const slow = time.Second

// mostLate is how many guards a note names.
const mostLate = 10

// json adds the time to the answer.
func (e *effect) json(k api.Key) api.Key {
	k.EffectiveEverywhereAt = wire.Moment(e.wait.Everywhere)
	return k
}
