package store

import (
	"cmp"
	"context"
	"time"
)

// Wait makes a change that takes something away wait until guards on other hosts know of it,
// and says what came of that. [WithWait] puts it into the context of one change. Without one a
// change waits too.
//
// Guards on this machine always know of a change when it returns.
type Wait struct {
	No bool // return at once

	// What follows is set when the change returns without an error.

	// Everywhere is from when on no guard and no program accepts what the change took away:
	// a moment that is over, unless the change did not wait, or a verification endpoint
	// answered that a program may keep its answer for longer. Zero: the change took nothing
	// away.
	Everywhere time.Time
	// Waited is how long the change waited for guards on other hosts.
	Waited time.Duration
	// Unheard is how many servers did not report in time that all of their guards know. The
	// leases of these guards have ended, so they do not accept the old state either.
	Unheard int
	// Confirmed are the guards that have dropped what changed, and Late those whose leases ended
	// first, as far as that is known.
	Confirmed, Late []Guard
}

// Guard is a process on another host that checks keys, as `keyctl verifiers` shows it.
type Guard struct {
	Key      string // the id of its verify key
	Instance string // the short form
	Audience string
	Address  string
}

// Compare orders guards by audience, and then as the fields come.
func (g Guard) Compare(o Guard) int {
	return cmp.Or(cmp.Compare(g.Audience, o.Audience), cmp.Compare(g.Address, o.Address), cmp.Compare(g.Key, o.Key), cmp.Compare(g.Instance, o.Instance))
}

// String names the guard for people.
func (g Guard) String() string {
	text := g.Key + "/" + g.Instance
	if g.Address != "" {
		text = g.Address + ", " + text
	}
	return cmp.Or(g.Audience, "a guard without an audience") + " (" + text + ")"
}

type waitKey struct{}

// WithWait returns ctx with w for the one change that is made with it.
func WithWait(ctx context.Context, w *Wait) context.Context {
	return context.WithValue(ctx, waitKey{}, w)
}

// WaitFrom returns what [WithWait] put into ctx, or a new Wait.
func WaitFrom(ctx context.Context) *Wait {
	if w, ok := ctx.Value(waitKey{}).(*Wait); ok {
		return w
	}
	return &Wait{}
}
