package leases

// explored is what an exploration found.
type explored struct {
	states   int
	returned bool     // a revoke returned in some order
	trail    []string // events that lead to a broken promise, or nil
}

// explore tries every order of events.
func explore(r rules, s scenario) (found explored) {
	seen := map[world]struct{}{}
	var visit func(w world) bool
	visit = func(w world) bool {
		if _, ok := seen[w]; ok {
			return false
		}
		seen[w] = struct{}{}
		found.returned = found.returned || w.returned
		if w.broken() {
			return true
		}
		for _, e := range s.events(w, r) {
			if visit(e.then) {
				found.trail = append([]string{e.who + " " + e.what}, found.trail...)
				return true
			}
		}
		return false
	}
	visit(s.started)
	found.states = len(seen)
	return found
}

// broken is the promise, broken.
func (w *world) broken() bool {
	for _, c := range w.checks {
		if c.late && c.verdict == accepted {
			return true
		}
	}
	return false
}

type event struct {
	who, what string
	then      world
}

var (
	checkNames  = [maxChecks]string{"check 1", "check 2", "check 3"}
	serverNames = [2]string{"server 1", "server 2"}
)

// events returns all that can happen next.
func (s scenario) events(w world, r rules) []event {
	var out []event
	try := func(who string, do func(*world) (string, bool)) {
		then := w
		if what, ok := do(&then); ok {
			out = append(out, event{who, what, then})
		}
	}
	servers := max(s.servers, 1)
	for i := range int8(s.checks) {
		if i > 0 && w.checks[i-1].stage == idle {
			break // they are all alike until they start
		}
		try(checkNames[i], func(w *world) (string, bool) { return w.move(i, r) })
		try(checkNames[i], func(w *world) (string, bool) { return w.early(i, r, s) })
	}
	for i := range servers {
		try("the verifier", func(w *world) (string, bool) { return w.renew(int8(i), s.renewals) })
		try(serverNames[i], func(w *world) (string, bool) { return w.publish(int8(i), r) })
		try("the committer", func(w *world) (string, bool) { return w.revoker.read(w, i, r) })
	}
	try("the server", func(w *world) (string, bool) { return w.serve(r) })
	try("the verifier", func(w *world) (string, bool) { return w.takeIn(r) })
	try("the committer", func(w *world) (string, bool) { return w.revoker.move(w, r, servers) })
	s.accidents(r, try)
	return out
}

// accidents are unintended events, each at most once except for the clock.
func (s scenario) accidents(r rules, try func(string, func(*world) (string, bool))) {
	once := func(may bool, done func(*world) *bool, who, what string, do func(*world)) {
		try(who, func(w *world) (string, bool) {
			if !may || *done(w) {
				return "", false
			}
			*done(w) = true
			do(w)
			return what, true
		})
	}
	tick := func(what string, may bool, lose func(*world) bool) {
		try("the clock", func(w *world) (string, bool) {
			if !may || w.now == s.ticks || !lose(w) {
				return "", false
			}
			w.now++
			return what, true
		})
	}
	tick("ticks", true, func(*world) bool { return true })
	tick("ticks, and the verifier's clocks do not", s.drift, func(w *world) bool {
		w.v.lostMono, w.v.lostWall = w.v.lostMono+1, w.v.lostWall+1
		first := !w.happened.drift
		w.happened.drift = true
		return first
	})
	tick("ticks while the verifier's computer sleeps", s.sleep, func(w *world) bool {
		w.v.lostMono++
		return true
	})
	try("the network", func(w *world) (string, bool) {
		lost := w.renewal.stage == answered && w.renewal.step == 0 || w.renewal.stage == sent
		if lost {
			w.renewal = renewal{}
		}
		return "loses the renewal", lost
	})
	once(s.evict, func(w *world) *bool { return &w.happened.evict }, "the verifier", "forgets the key", func(w *world) { w.v.remembers = false })
	once(s.unlock, func(w *world) *bool { return &w.happened.unlock }, "server 1", "loses the lock of its slot", func(w *world) { w.slots[0].locked = false })
	if s.stream {
		try("the verifier", func(w *world) (string, bool) { return w.streams(r) })
		try("the verifier", func(w *world) (string, bool) { return w.hear(1, r) })
	}
	if s.gap {
		try("the verifier", func(w *world) (string, bool) { return w.hear(2, r) })
		try("another change", func(w *world) (string, bool) {
			ok := w.announced && !w.later
			w.later = w.later || ok
			return "of another key is announced", ok
		})
	}
	if s.twin {
		try("server 1", func(w *world) (string, bool) { return w.grantTwin(r) })
	}
	if s.kill {
		try("server 1", func(w *world) (string, bool) { return w.kill(0) })
		try("server 1", func(w *world) (string, bool) { return w.restart(0, r) })
	}
	if s.kill || s.unlock {
		try("another change", func(w *world) (string, bool) {
			before := w.slots[0]
			w.slots[0].tend(w.now, r)
			return "looks at the slots", w.slots[0] != before
		})
	}
	try("the committer", func(w *world) (string, bool) {
		if !s.crash || w.happened.crash || !w.revoker.mayDie(r) {
			return "", false
		}
		w.happened.crash, w.revoker = true, committer{retry: true}
		return "is killed, and another revokes again", true
	})
}
