package model

// explore tries every order of events. It returns how many states there are, and the
// events that lead to a broken promise, or nil.
func explore(r rules, s scenario) (states int, trail []string) {
	seen := map[world]struct{}{}
	var visit func(w world) bool
	visit = func(w world) bool {
		if _, ok := seen[w]; ok {
			return false
		}
		seen[w] = struct{}{}
		if w.broken() {
			return true
		}
		for _, e := range s.events(w, r) {
			if visit(e.then) {
				trail = append(trail, e.who+" "+e.what)
				return true
			}
		}
		return false
	}
	if !visit(s.started) {
		return len(seen), nil
	}
	for i, j := 0, len(trail)-1; i < j; i, j = i+1, j-1 {
		trail[i], trail[j] = trail[j], trail[i]
	}
	return len(seen), trail
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

// tidy clears what no step will read again, so that states which differ in nothing
// else are one.
func (w *world) tidy() {
	var looks, reads [maxChecks]bool
	for i := range w.checks {
		c := &w.checks[i]
		switch {
		case c.stage == waitLook:
			looks[c.waits] = true
		case c.stage == waitRead:
			reads[c.waits] = true
		case c.stage >= joinLook && c.stage <= tell:
			looks[i] = true
		case c.stage >= readRow && c.stage <= land:
			reads[i] = true
		}
		if c.stage == done && (!c.late || c.verdict != accepted) {
			c.late, c.verdict = false, refused
		}
	}
	for i := range w.checks {
		if !looks[i] {
			w.checks[i].look = look{}
		}
		if !reads[i] {
			w.checks[i].read = read{}
		}
	}
}

var checkNames = [maxChecks]string{"check 1", "check 2", "check 3"}

type event struct {
	who, what string
	then      world
}

// events returns all that can happen next.
func (s scenario) events(w world, r rules) []event {
	var out []event
	try := func(who string, do func(*world) (string, bool)) {
		then := w
		if what, ok := do(&then); ok {
			then.tidy()
			out = append(out, event{who, what, then})
		}
	}
	for i := range int8(s.checks) {
		if i > 0 && w.checks[i-1].stage == start {
			break // they are all alike until they start
		}
		try(checkNames[i], func(w *world) (string, bool) { return w.move(i, r) })
	}
	try("the revoker", func(w *world) (string, bool) { return w.revoker.move(w, r) })
	accidents(s, r, try)
	return out
}

// accidents are unintended events, each at most once except for the clock.
func accidents(s scenario, r rules, try func(string, func(*world) (string, bool))) {
	try("the clock", func(w *world) (string, bool) {
		w.now++
		return "ticks", w.now <= s.ticks
	})
	try("the revoker", func(w *world) (string, bool) {
		if !s.crash || w.crashed || !w.revoker.mayDie(r) {
			return "", false
		}
		w.crashed, w.revoker = true, writer{retry: true}
		return "is killed, and somebody revokes again", true
	})
	try("somebody", func(w *world) (string, bool) {
		if !s.remove || w.removed {
			return "", false
		}
		w.removed, w.path = true, none
		return "removes the epoch file", true
	})
	try("the store", func(w *world) (string, bool) {
		if !s.outage || w.unreadable {
			return "", false
		}
		w.unreadable = true
		return "becomes unreadable", true
	})
	try("the cache", func(w *world) (string, bool) {
		if !s.evict || w.evicted || w.cached == none {
			return "", false
		}
		w.evicted, w.cached = true, none
		return "evicts the cell", true
	})
}
