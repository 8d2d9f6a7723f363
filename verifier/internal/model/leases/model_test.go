// Package leases is a model of verifiers that ask a server over a network: servers grant
// leases, verifiers remember keys while they hold one, and a revoke waits until no verifier
// can remember the key. It is small enough to try every order of steps: one key that is
// revoked, one verifier with some checks in it, one or two servers, a clock of a few ticks.
// It is a test, and it explains the rules of the protocol: read [rules] first.
//
// A server sees a change when it is announced, which is later than its commit.
//
// The only property is the promise: no check that starts after a revoke returned accepts
// the key, on any host. [TestEveryOrderKeepsThePromise] shows that it holds;
// [TestEveryRuleIsNeeded] leaves out one rule at a time and shows an order of events that
// then breaks it. [TestRevokeReturns] shows that a revoke can return, because one that never
// returns would keep the promise too.
//
// Messages may be slow or lost; a verifier discards the answer to a renewal that it gave up.
// Servers stop and start, every program may pause (a step is not taken while the clock ticks),
// and a computer sleeps. How a verifier
// remembers keys in its own process is the model in the directory above.
package leases

import (
	"strings"
	"testing"
)

// rules are what verifiers, servers and committers do to keep the promise.
type rules struct {
	// A verifier renews its lease.
	clockFirst   bool // it reads its clock before it sends a renewal, and the lease runs from then
	onlyRenewals bool // nothing but the answer to a renewal extends a lease
	dropFirst    bool // it drops what an answer names before the lease of that answer counts
	applyLast    bool // it says that it applied a position after it dropped everything up to there
	markFills    bool // a drop marks the questions under way; their answers are not remembered
	continues    bool // an event of the stream counts only if it begins where the verifier stands

	// A server grants it.
	noteFirst  bool // it publishes the lease in its floor before it looks at the store
	byInstance bool // it keeps the leases of two processes with one verify key apart
	margin     bool // servers and committers count a lease as 5 % longer than verifiers do

	// A verifier asks about a token.
	freshLook bool // the server looks at the store after the question arrived
	notBehind bool // an answer from before what was dropped is not used, from the drop on

	// Servers hold slots.
	ownNonce     bool // without its own nonce in its slot a server grants nothing
	takeNonce    bool // a program that obtains the lock of a slot takes the nonce out
	ownFloor     bool // a floor counts only together with the nonce of the server that wrote it
	keepSlot     bool // such a slot counts as unknown for a lease, and is freed then
	unknownStart bool // the floor of a server that started less than a lease ago is unknown

	// A committer waits.
	floorsAfter  bool // it reads the floors after its commit
	everyFloor   bool // it waits for the floor of every slot
	fromAnnounce bool // it counts the longest wait from when servers can see its change
	replayWaits  bool // a revoke that finds nothing to do waits as well

	// A verifier without a lease.
	askSelf   bool // it does not use what it remembers
	ownFlight bool // a check asks for itself, and does not wait for an earlier question
	wallClock bool // a lease also ends by the wall clock, which runs while a computer sleeps
}

var all = rules{
	true, true, true, true, true, true, true, true, true, true, true, true,
	true, true, true, true, true, true, true, true, true, true, true,
}

func TestEveryOrderKeepsThePromise(t *testing.T) {
	total := 0
	for _, s := range scenarios {
		e := explore(all, s)
		if e.trail != nil {
			t.Fatalf("%s: a check that began after the revoke returned was accepted:\n%s", s.name, strings.Join(e.trail, "\n"))
		}
		t.Logf("%s: %d states", s.name, e.states)
		total += e.states
	}
	t.Logf("%d states in all", total)
	if total < 3_000_000 {
		t.Errorf("explored %d states; the model has lost its moving parts", total)
	}
}

func TestEveryRuleIsNeeded(t *testing.T) {
	for _, c := range []struct {
		name, scenario string
		without        func(*rules)
	}{
		{"read the clock when the answer is there", "verifier that was away", func(r *rules) { r.clockFirst = false }},
		{"let the stream of changes extend a lease", "stream", func(r *rules) { r.onlyRenewals = false }},
		{"extend the lease before dropping", "two checks", func(r *rules) { r.dropFirst = false }},
		{"say applied before dropping", "stream", func(r *rules) { r.applyLast = false }},
		{"apply an event after a gap", "stream with a gap", func(r *rules) { r.continues = false }},
		{"remember what was asked before a change", "two checks", func(r *rules) { r.markFills = false }},
		{"look at the store before noting the lease", "verifier that was away", func(r *rules) { r.noteFirst = false }},
		{"keep one lease for two processes of a key", "two processes with one key", func(r *rules) { r.byInstance = false }},
		{"count a lease only as long as a verifier does", "slow clock", func(r *rules) { r.margin = false }},
		{"answer from an earlier look", "verifier that was away", func(r *rules) { r.freshLook = false }},
		{"use an answer that is behind", "server that answers from before", func(r *rules) { r.notBehind = false }},
		{"grant leases without a slot", "server loses its lock", func(r *rules) { r.ownNonce = false }},
		{"let a server grant after its lock was lost", "server loses its lock", func(r *rules) { r.takeNonce = false }},
		{"count a floor that another server wrote", "slot was taken over", func(r *rules) { r.ownFloor = false }},
		{"free the slot of a server that died at once", "server is killed", func(r *rules) { r.keepSlot = false }},
		{"begin with a floor without leases", "server is killed", func(r *rules) { r.unknownStart = false }},
		{"read the floors before the commit", "verifier that was away", func(r *rules) { r.floorsAfter = false }},
		{"wait for one server", "two servers", func(r *rules) { r.everyFloor = false }},
		{"count the wait from the commit", "verifier that was away", func(r *rules) { r.fromAnnounce = false }},
		{"return at once when nothing was to do", "committer is killed", func(r *rules) { r.replayWaits = false }},
		{"use what is remembered without a lease", "two checks", func(r *rules) { r.askSelf = false }},
		{"join an earlier question without a lease", "two checks", func(r *rules) { r.ownFlight = false }},
		{"measure the lease by a clock that sleeps", "sleep", func(r *rules) { r.wallClock = false }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := all
			c.without(&r)
			for _, s := range scenarios {
				if s.name != c.scenario {
					continue
				}
				e := explore(r, s)
				if e.trail == nil {
					t.Fatal("the promise holds without this rule: take it out of the protocol, or put what it is for into the model")
				}
				t.Logf("%s:\n%s", s.name, strings.Join(e.trail, "\n"))
				return
			}
			t.Fatalf("no scenario %q", c.scenario)
		})
	}
}

// With a verifier that answers, a revoke can return before a lease has run out. One that does
// not answer delays it, and after the longest wait it can return.
func TestRevokeReturns(t *testing.T) {
	answered := explore(all, scenario{name: "answered", checks: 1, renewals: 2, started: hot})
	if !answered.returned {
		t.Error("a verifier acknowledged the change, and the revoke did not return")
	}
	if !explore(all, scenario{name: "streamed", checks: 1, renewals: 1, stream: true, started: hot}).returned {
		t.Error("a verifier dropped what the stream named and renewed once, and the revoke did not return")
	}
	s := scenario{name: "silent", checks: 1, started: hot}
	if explore(all, s).returned {
		t.Error("the revoke returned at once, although a verifier holds a lease and did not answer")
	}
	s.ticks = longest
	if !explore(all, s).returned {
		t.Error("the revoke did not return after the longest wait")
	}
}
