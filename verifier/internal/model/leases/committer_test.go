package leases

// committer is a process that revokes the key: commit, read the floors, wait, return.
type committer struct {
	step  int8
	since int8 // from when it counts the longest wait
	retry bool // the change is there already
	ready [2]bool
}

type act int8

const (
	begin act = iota
	commit
	announce
	wait
	acknowledge
)

func program(r rules) []act {
	if r.floorsAfter {
		return []act{begin, commit, announce, wait, acknowledge}
	}
	return []act{begin, wait, commit, announce, acknowledge}
}

// move does the committer's next thing that it can do now.
func (p *committer) move(w *world, r rules, servers int) (what string, ok bool) {
	list := program(r)
	if int(p.step) == len(list) {
		return "", false
	}
	switch list[p.step] {
	case begin:
		p.since = w.now
		what = "begins"
	case commit:
		what = "commits"
		if p.retry {
			what = "finds nothing to do"
			if !r.replayWaits {
				p.step = int8(len(list) - 2)
			}
		}
		w.revoked, p.since = true, w.now
	case announce:
		what = "announces it"
		w.announced = true
		if r.fromAnnounce {
			p.since = w.now
		}
	case wait:
		if !p.waited(w, r, servers) {
			return "", false
		}
		what = "need not wait any more"
		p.since, p.ready = 0, [2]bool{}
	case acknowledge:
		what = "returns"
		w.returned = true
	}
	p.step++
	return what, true
}

// waited reports whether every floor that the committer read reached its change, or the
// longest wait is over.
func (p *committer) waited(w *world, r rules, servers int) bool {
	if w.now-p.since >= counted(r) {
		return true
	}
	for i := range servers {
		if !r.everyFloor && i > 0 {
			break
		}
		if !p.ready[i] {
			return false
		}
	}
	return true
}

// read reads the floor of one slot. Slots are read one after the other, and again while
// the committer waits.
func (p *committer) read(w *world, i int, r rules) (what string, ok bool) {
	list := program(r)
	if int(p.step) == len(list) || list[p.step] != wait || p.ready[i] {
		return "", false
	}
	before := w.slots[i]
	w.slots[i].tend(w.now, r)
	s := w.slots[i]
	need := int8(1)
	if !r.floorsAfter {
		need = w.position() + 1
	}
	switch {
	case s.nonce == 0 || (!s.closed && s.floor >= need && (s.by == s.nonce || !r.ownFloor)):
		p.ready[i] = true
	case s == before:
		return "", false
	}
	return "reads a floor", true
}

// tend is what any committer does with a slot whose lock it can obtain.
func (s *slot) tend(now int8, r rules) {
	switch {
	case s.locked || s.nonce == 0:
	case !r.keepSlot:
		*s = slot{}
	case s.since == 0 && !s.closed:
		s.closed, s.since = r.takeNonce, now+1 // one more, since zero means never
	case now-(s.since-1) >= counted(r):
		*s = slot{}
	}
}

// mayDie reports whether a crash of the committer matters here: it committed, and
// has not returned.
func (p *committer) mayDie(r rules) bool {
	return r.floorsAfter && !p.retry && (p.step == 2 || p.step == 3)
}
