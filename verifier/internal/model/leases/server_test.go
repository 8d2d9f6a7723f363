package leases

// server is a process that grants leases. Its memory is gone when it stops.
type server struct {
	up      bool
	nonce   int8
	started int8
	clean   bool     // its slot was free, so no lease of before is left in it
	leases  [2]noted // of the verifier, and of another process with its verify key
}

// noted is a lease as the server counts it.
type noted struct{ until, applied int8 }

// slot is where a server tells committers its floor. It outlives the server.
type slot struct {
	nonce  int8 // of the server that holds it; zero if the slot is free
	locked bool // the server's process is there
	closed bool // the nonce is taken out
	since  int8 // when
	floor  int8
	by     int8 // the nonce of the server that wrote the floor, in one word with it
}

// counted is how long others count a lease.
func counted(r rules) int8 {
	if r.margin {
		return longest
	}
	return lease
}

// floor is the lowest position that a verifier with a lease may still stand at.
func (w *world) floor(s *server, r rules) int8 {
	if r.unknownStart && !s.clean && w.now < s.started+counted(r) {
		return unknown
	}
	lowest := int8(unlimited)
	for _, l := range s.leases {
		if l.until > w.now {
			lowest = min(lowest, l.applied)
		}
	}
	return lowest
}

// serve is what a server does with the renewal, step by step: note it and publish the
// floor, make sure that the slot is its own, look at the store, answer.
func (w *world) serve(r rules) (what string, ok bool) {
	m := &w.renewal
	s, held := &w.servers[m.server], &w.slots[w.at[m.server]]
	if !s.up && m.stage != idle && m.stage != answered {
		*m = renewal{}
		return "is not there, and the renewal is lost", true
	}
	switch m.stage {
	case sent:
		if !r.noteFirst {
			m.position, m.stage = w.seen(), published
			return "looks at the store", true
		}
		w.note(m, s, held, r)
		m.stage = published
		return "notes the lease and publishes its floor", true
	case published:
		if r.ownNonce && (held.nonce != s.nonce || held.closed) {
			*m = renewal{}
			return "does not find its nonce, and grants nothing", true
		}
		m.stage = owned
		return "finds its nonce", true
	case owned:
		if !r.noteFirst {
			w.note(m, s, held, r)
			m.stage = answered
			return "notes the lease, publishes its floor, and answers", true
		}
		m.position, m.stage = w.seen(), answered
		return "looks at the store and answers", true
	}
	return "", false
}

func (w *world) note(m *renewal, s *server, held *slot, r rules) {
	s.leases[0] = noted{until: w.now + counted(r), applied: m.applied}
	held.floor, held.by = w.floor(s, r), s.nonce
}

// publish is the server's own clock: leases that ran out leave the floor.
func (w *world) publish(i int8, r rules) (what string, ok bool) {
	s, held := &w.servers[i], &w.slots[w.at[i]]
	f := w.floor(s, r)
	if !s.up || held.floor == f || held.nonce != s.nonce {
		return "", false
	}
	held.floor, held.by = f, s.nonce
	return "publishes its floor again", true
}

// grantTwin is a renewal of another process with the same verify key, which has applied all.
func (w *world) grantTwin(r rules) (what string, ok bool) {
	s := &w.servers[0]
	l := noted{until: w.now + counted(r), applied: w.seen()}
	i := 0
	if r.byInstance {
		i = 1
	}
	if s.leases[i] == l {
		return "", false
	}
	s.leases[i] = l
	w.slots[0].floor, w.slots[0].by = w.floor(s, r), s.nonce
	return "grants a lease to another process with this key", true
}

func (w *world) kill(i int8) (what string, ok bool) {
	if w.happened.kill {
		return "", false
	}
	w.happened.kill = true
	w.servers[i] = server{}
	w.slots[w.at[i]].locked = false
	return "is killed", true
}

// restart takes the slot of before. Unless others have freed it since, the floor is unknown
// until the leases of before have run out.
func (w *world) restart(i int8, r rules) (what string, ok bool) {
	if !w.happened.kill || w.happened.restart {
		return "", false
	}
	w.happened.restart = true
	w.servers[i] = server{up: true, nonce: 2, started: w.now, clean: w.slots[w.at[i]].nonce == 0}
	w.slots[w.at[i]] = slot{nonce: 2, by: 2, locked: true, floor: w.floor(&w.servers[i], r)}
	return "starts again", true
}
