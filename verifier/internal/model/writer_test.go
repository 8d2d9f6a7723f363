package model

// writer is the process that revokes the key: commit, move the epoch, wait until it
// has settled, return.
type writer struct {
	step   int8
	mapped int8 // the epoch file it moves
	since  int8 // when it mapped that
	retry  bool // the change is there already
}

type act int8

const (
	commit act = iota
	mapEpoch
	bump
	settle
	acknowledge
)

func program(r rules) []act {
	if r.commitFirst {
		return []act{commit, mapEpoch, bump, settle, acknowledge}
	}
	return []act{mapEpoch, bump, commit, settle, acknowledge}
}

// move does the writer's next thing, and reports whether there is one that it can do
// now.
func (p *writer) move(w *world, r rules) (what string, ok bool) {
	list := program(r)
	if int(p.step) == len(list) {
		return "", false
	}
	switch list[p.step] {
	case commit:
		what = "commits"
		if p.retry {
			what = "finds nothing to do"
			if !r.bumpAlways {
				p.step = int8(len(list) - 2)
			}
			break
		}
		w.revoked = true
	case mapEpoch:
		what = "has the epoch file open"
		if w.path == none {
			what = "makes a new epoch file"
			w.path = 1
		}
		p.mapped, p.since = w.path, w.now
	case bump:
		what = "moves the epoch"
		w.files[p.mapped].count++
	case settle:
		f := &w.files[p.mapped]
		if r.settle && !f.settled && w.now-p.since < lease {
			return "", false
		}
		what = "need not wait any more"
		f.settled = true
		p.mapped, p.since = 0, 0
	case acknowledge:
		what = "returns"
		w.returned = true
	}
	p.step++
	return what, true
}

// mayDie reports whether a crash of the writer matters here: it committed, and announced
// nothing.
func (p *writer) mayDie(r rules) bool {
	return r.commitFirst && !p.retry && (p.step == 1 || p.step == 2)
}
