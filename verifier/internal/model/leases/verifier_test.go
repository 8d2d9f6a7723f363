package leases

// renewal is the message of a verifier that renews its lease, and its answer.
type renewal struct {
	stage      stage
	server     int8
	mono, wall int8 // the verifier's clocks before it was sent
	applied    int8
	position   int8 // in the answer
	step       int8 // of taking in the answer
}

// check is one call of Authenticate on its way, with the question that it may have
// asked, on whose answer others may be waiting.
type check struct {
	stage   stage
	late    bool // it began after the revoke had returned
	leased  bool
	waits   int8
	marked  bool
	good    bool // the answer
	over    bool // it has come
	behind  int8 // position of the answer
	verdict verdict
}

type verdict int8

const (
	refused verdict = iota + 1
	accepted
)

type stage int8

const (
	idle stage = iota

	// A renewal.
	sent
	published
	owned
	answered

	// A check.
	judge
	useCell
	asked
	looked
	compared
	waiting
	done
)

func (w *world) mono() int8 { return w.now - w.v.lostMono }
func (w *world) wall() int8 { return w.now - w.v.lostWall }

// leased reports whether the verifier holds a lease.
func (w *world) leased(r rules) bool {
	byWall := !r.wallClock || w.wall()-w.v.wall < lease
	return w.v.leased && w.mono()-w.v.mono < lease && byWall
}

// renew sends a renewal; there is one under way at a time.
func (w *world) renew(server int8, limit int8) (what string, ok bool) {
	if w.renewal.stage != idle || w.sent == limit {
		return "", false
	}
	w.sent++
	w.renewal = renewal{stage: sent, server: server, mono: w.mono(), wall: w.wall(), applied: w.v.applied}
	return "reads its clock and sends a renewal", true
}

// takeIn is what a verifier does with the answer to a renewal, step by step.
func (w *world) takeIn(r rules) (what string, ok bool) {
	if w.renewal.stage != answered {
		return "", false
	}
	program := []func(*world, rules) string{(*world).drop, (*world).apply, (*world).extend}
	if !r.dropFirst {
		program = []func(*world, rules) string{(*world).extend, (*world).drop, (*world).apply}
	}
	what = program[w.renewal.step](w, r)
	w.renewal.step++
	if int(w.renewal.step) == len(program) {
		w.renewal = renewal{}
	}
	return what, true
}

// drop forgets the key if the answer names it: the revocation is newer than what the
// verifier said that it applied.
func (w *world) drop(r rules) string {
	if w.renewal.position > w.renewal.applied {
		w.forget(w.renewal.applied < 1, w.renewal.position, r)
	}
	return "drops what the answer names"
}

// forget drops the key if it is named, and another one otherwise.
func (w *world) forget(named bool, to int8, r rules) {
	w.v.heard = max(w.v.heard, to)
	if named {
		w.v.remembers = false
	}
	if w.v.flying != none && r.markFills {
		w.checks[w.v.flying].marked = true
	}
}

func (w *world) apply(rules) string {
	w.v.applied = max(w.v.applied, w.renewal.position)
	return "notes what it applied"
}

func (w *world) extend(r rules) string {
	w.v.leased, w.v.mono, w.v.wall = true, w.renewal.mono, w.renewal.wall
	if !r.clockFirst {
		w.v.mono, w.v.wall = w.mono(), w.wall()
	}
	return "has the lease"
}

// streams is a stream that extends the lease.
func (w *world) streams(r rules) (what string, ok bool) {
	if r.onlyRenewals || w.v.leased && w.v.mono == w.mono() {
		return "", false
	}
	w.v.leased, w.v.mono, w.v.wall = true, w.mono(), w.wall()
	return "hears that the stream is there", true
}

// hear is what the verifier does with the event that leads to a position, from the one before:
// drop, then note what was applied, so that a renewal says so only after. The event of position 1
// names the key.
func (w *world) hear(to int8, r rules) (what string, ok bool) {
	switch {
	case w.v.hearing == to:
		w.v.hearing = 0
		return w.heed(to, !r.applyLast, r), true
	case w.v.hearing != 0, w.seen() < to, w.v.applied >= to, r.continues && w.v.applied != to-1:
		return "", false
	}
	w.v.hearing = to
	return w.heed(to, r.applyLast, r), true
}

func (w *world) heed(to int8, drop bool, r rules) string {
	if drop {
		w.forget(to == 1, to, r)
		return "drops what the stream names"
	}
	w.v.applied = max(w.v.applied, to)
	return "notes what it applied"
}

// move does the next thing of check i.
func (w *world) move(i int8, r rules) (what string, ok bool) {
	c := &w.checks[i]
	switch c.stage {
	case idle:
		c.late, c.stage = w.returned, judge
		return "starts", true
	case judge:
		c.leased, c.stage = w.leased(r), useCell
		return "looks at the lease", true
	case useCell:
		return w.useCell(i, c, r), true
	case asked:
		if !w.servers[0].up && !w.servers[1].up {
			w.unjoin(i)
			c.end(refused)
			return "cannot ask", true
		}
		c.good, c.behind, c.stage = !w.revoked, w.seen(), looked
		return "is looked up by the server", true
	case looked:
		if c.behind < w.v.heard && r.notBehind {
			w.unjoin(i)
			c.end(refused) // the client asks again
			return "finds that the answer is behind", true
		}
		c.stage = compared
		return "gets the answer", true
	case compared:
		w.land(i, c)
		return "uses the answer", true
	case waiting:
		other := &w.checks[c.waits]
		if !other.over {
			return "", false
		}
		verdict := refused
		if other.good && other.verdict != refused {
			verdict = accepted
		}
		c.end(verdict)
		return "is told the answer", true
	}
	return "", false
}

func (w *world) useCell(i int8, c *check, r rules) string {
	switch {
	case w.v.remembers && (c.leased || !r.askSelf):
		c.end(accepted)
		return "uses what is remembered"
	case w.v.flying != none && !w.checks[w.v.flying].marked && (c.leased || !r.ownFlight):
		c.stage, c.waits = waiting, w.v.flying
		return "joins a question"
	}
	c.stage = asked
	if c.leased && w.v.flying == none {
		w.v.flying = i
	}
	return "asks"
}

// land remembers the answer, if it was asked under a lease and nothing marked it.
func (w *world) land(i int8, c *check) {
	if w.v.flying == i && !c.marked && c.good {
		w.v.remembers = true
	}
	w.unjoin(i)
	verdict := refused
	if c.good {
		verdict = accepted
	}
	c.end(verdict)
}

// unjoin ends that others can join the question of check i.
func (w *world) unjoin(i int8) {
	if w.v.flying == i {
		w.v.flying = none
	}
}

// end keeps what others may wait for.
func (c *check) end(v verdict) {
	*c = check{stage: done, late: c.late, verdict: v, good: c.good, over: true}
}

// early answers a question from a look that began before the question arrived: what the
// key was at the start.
func (w *world) early(i int8, r rules, s scenario) (what string, ok bool) {
	c := &w.checks[i]
	if c.stage != asked || (r.freshLook && !s.lagging) {
		return "", false
	}
	c.good, c.behind, c.stage = true, 0, looked
	return "is answered from an earlier look", true
}
