// Package model is a model of the protocol between processes that change keys and
// processes that check them. It is small enough to try every order of steps: one key that
// is revoked, a few concurrent checks of it in one process, a clock of a few ticks. It is
// a test, and it explains the rules of package verifier: read [rules] first.
//
// The only property is the promise: no check that starts after a revoke returned accepts
// the key. [TestEveryOrderKeepsThePromise] shows that it holds; [TestEveryRuleIsNeeded]
// leaves out one rule at a time and shows an order of events that then breaks it.
//
// Names are those of verifier and store/sqlite. Each step is something that another
// process can see, or after which a process can crash.
package model

import (
	"strings"
	"testing"
)

// rules are what verifier and store/sqlite do to keep the promise.
type rules struct {
	commitFirst bool // a writer moves the epoch after its commit
	bumpAlways  bool // a revoke that had nothing to do moves it as well: the one before may have died
	settle      bool // with a new epoch file a writer waits until all have had to look
	turns       bool // numbers from different files are never equal
	noteFirst   bool // a look notes the epoch before it reads
	lookNoted   bool // a check relies on a look under way only if that noted what the check found
	lookAge     bool // and only if it began less than a lease before the check
	lease       bool // without a good look for a lease, nothing that is remembered counts
	forgetFirst bool // a look drops what changed before it says that it looked
	recheck     bool // a cell that was found before a forgetting is looked up again after it
	markFills   bool // a change marks the reads under way; what is marked is not remembered
	markFirst   bool // and it marks them before it drops what is there
	newFills    bool // a check does not wait for a read that is marked
}

var all = rules{true, true, true, true, true, true, true, true, true, true, true, true, true}

func TestEveryOrderKeepsThePromise(t *testing.T) {
	total := 0
	for _, w := range scenarios {
		states, trail := explore(all, w)
		if trail != nil {
			t.Fatalf("%s: a check that began after the revoke returned was accepted:\n%s", w.name, strings.Join(trail, "\n"))
		}
		t.Logf("%s: %d states", w.name, states)
		total += states
	}
	if total < 100_000 {
		t.Errorf("explored %d states; the model has lost its moving parts", total)
	}
}

func TestEveryRuleIsNeeded(t *testing.T) {
	for name, without := range map[string]func(*rules){
		"move the epoch before the commit":           func(r *rules) { r.commitFirst = false },
		"do not move it when nothing was to do":      func(r *rules) { r.bumpAlways = false },
		"do not wait with a new epoch file":          func(r *rules) { r.settle = false },
		"let numbers come twice":                     func(r *rules) { r.turns = false },
		"note the epoch after reading":               func(r *rules) { r.noteFirst = false },
		"join a look that noted less":                func(r *rules) { r.lookNoted = false },
		"join a look that has hung for a lease":      func(r *rules) { r.lookAge = false },
		"ignore the lease":                           func(r *rules) { r.lease = false },
		"forget after telling":                       func(r *rules) { r.forgetFirst = false },
		"keep the cell found before forgetting":      func(r *rules) { r.recheck = false },
		"remember what was read before a change":     func(r *rules) { r.markFills = false },
		"drop first and mark what is read then":      func(r *rules) { r.markFirst = false },
		"wait for a read that began before a change": func(r *rules) { r.newFills = false },
	} {
		t.Run(name, func(t *testing.T) {
			r := all
			without(&r)
			for _, w := range scenarios {
				if _, trail := explore(r, w); trail != nil {
					t.Logf("%s:\n%s", w.name, strings.Join(trail, "\n"))
					return
				}
			}
			t.Error("the promise holds without this rule: take it out of the code, or put what it is for into the model")
		})
	}
}
