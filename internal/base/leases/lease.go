package leases

import (
	"container/list"
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
)

// How many verifiers may have a lease. Others ask for each request.
const (
	maxVerifiers = 10_000
	maxCaller    = 1_000 // with one verify key
)

// before is the lowest position: of a verifier that applied nothing, or changes of another
// generation.
const before protocol.Position = 1

// ErrBeyond is the error of a verifier that says it has applied changes that the store does
// not have.
var ErrBeyond = errors.New("applied is beyond the position of the key store")

// who is one process of a verify key.
type who struct {
	caller   string
	instance protocol.Instance
}

// lease is a lease as the server counts it, and the verifier that has it.
type lease struct {
	who
	audience, address, agent string
	since                    time.Time         // of the verifier's first renewal
	until                    time.Duration     // a lease and 5 % after the last renewal arrived
	applied                  protocol.Position // as it counts for the floor
	place                    *list.Element

	drops    bool              // it must be told to drop everything
	lost     int               // what losses was when it was told to
	told     protocol.Position // the position of that answer; zero if there was none
	toldFrom protocol.Position // what it had applied then
}

// Renewal is a request for a lease.
type Renewal struct {
	Caller                   string // the id of the verify key
	Instance                 protocol.Instance
	Audience, Address, Agent string
	Applied                  protocol.Position
}

// Renew notes the lease, publishes the floor, makes sure of the slot, and only then looks at
// the store. It returns what the verifier must drop, and the lease. It fails with [ErrBeyond],
// or with [keys.ErrUnavailable] if the store cannot be read; the noted lease then stays noted,
// because an earlier answer may have granted it.
func (r *Registry) Renew(ctx context.Context, q Renewal) (protocol.Granted, error) {
	arrived := r.elapsed()
	l, granted, err := r.note(&q, arrived)
	if err != nil {
		return protocol.Granted{}, err
	}
	if err := r.fresh(ctx); err != nil {
		return protocol.Granted{}, err
	}
	if r.ahead(q.Applied) { // another server may have read a change that is not announced yet
		if err := r.look(ctx, func(*look) bool { return false }); err != nil {
			return protocol.Granted{}, err
		}
	}
	out, ids, err := r.grant(&q, l)
	if err != nil {
		return out, err
	}
	for _, id := range ids {
		out.Drop = append(out.Drop, q.Instance.TagOf(id))
	}
	out.Time = r.now().UTC()
	if granted && r.elapsed() < arrived+protocol.Longest {
		out.Lease = protocol.Lease.Milliseconds()
	}
	return out, nil
}

// note notes the lease and publishes the floor. It reports whether the lease may be granted.
// The lease is nil if there are too many.
func (r *Registry) note(q *Renewal, arrived time.Duration) (l *lease, granted bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, false, ErrClosed
	}
	r.expire()
	id := who{q.Caller, q.Instance}
	l = r.verifiers[id]
	if l == nil {
		if l = r.enter(id); l == nil {
			return nil, false, nil
		}
		if len(r.verifiers) == 1 {
			r.wakeUp()
		}
	} else {
		r.floors.remove(l.applied)
		r.arrivals.MoveToBack(l.place)
	}
	l.audience, l.address, l.agent = strings.Clone(q.Audience), strings.Clone(q.Address), strings.Clone(q.Agent)
	l.until = max(l.until, arrived+protocol.Longest)
	l.applied = r.counted(l, q.Applied)
	r.floors.add(l.applied)
	return l, r.publish(), nil
}

// enter makes room for another verifier; nil if there is none.
func (r *Registry) enter(id who) *lease {
	if len(r.verifiers) >= maxVerifiers || r.byCaller[id.caller] >= maxCaller {
		r.warn("too many verifiers: further ones get no lease and ask for each request", slog.String("key_id", id.caller))
		return nil
	}
	id.caller = strings.Clone(id.caller)
	l := &lease{who: id, since: r.now().UTC(), drops: true, lost: r.losses}
	l.place = r.arrivals.PushBack(l)
	r.verifiers[id] = l
	r.byCaller[id.caller]++
	return l
}

// expire lets leases end. They end in the order in which they arrived.
func (r *Registry) expire() {
	now := r.elapsed()
	for e := r.arrivals.Front(); e != nil; e = r.arrivals.Front() {
		l := e.Value.(*lease) //nolint:errcheck // nothing else is in the list
		if l.until > now {
			return
		}
		r.arrivals.Remove(e)
		r.floors.remove(l.applied)
		delete(r.verifiers, l.who)
		if r.byCaller[l.caller]--; r.byCaller[l.caller] == 0 {
			delete(r.byCaller, l.caller)
		}
	}
}

// counted is what applied counts for the floor. What the store has not reached, as far as this
// server knows, and what was applied before the history was lost, counts as nothing.
func (r *Registry) counted(l *lease, applied protocol.Position) protocol.Position {
	if l.lost != r.losses && !r.heeded(l, applied) {
		return before
	}
	if applied > r.position || applied.Generation() != r.position.Generation() {
		return before
	}
	return max(applied, before)
}

// heeded reports whether a verifier has dropped everything, as it was told when the history was
// lost: it has applied that answer's position, and says so for the first time.
func (r *Registry) heeded(l *lease, applied protocol.Position) bool {
	return l.told != 0 && applied >= l.told && applied != l.toldFrom && applied <= r.position
}

// distrust is called when the history was lost: what verifiers have applied counts as nothing.
func (r *Registry) distrust() {
	for _, l := range r.verifiers {
		r.floors.remove(l.applied)
		l.applied, l.drops, l.told = before, true, 0
		r.floors.add(before)
	}
	r.publish()
}

// ahead reports whether a verifier has applied what this server has not seen.
func (r *Registry) ahead(applied protocol.Position) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return applied > r.position
}

// grant says what the verifier must drop. The ids become tags.
func (r *Registry) grant(q *Renewal, l *lease) (out protocol.Granted, ids []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.Applied > r.position {
		return out, nil, ErrBeyond
	}
	out = protocol.Granted{Position: r.position, Imported: r.imported}
	ids, known := r.history.since(q.Applied)
	if l == nil {
		out.All = true
		return out, nil, nil
	}
	r.heed(l, q.Applied)
	if out.All = l.drops || !known; out.All {
		l.told, l.toldFrom = r.position, q.Applied
		return out, nil, nil
	}
	return out, ids, nil
}

// heed notes that the verifier has dropped everything, and counts what it has applied.
func (r *Registry) heed(l *lease, applied protocol.Position) {
	if l.lost == r.losses && l.told != 0 && applied >= l.told || r.heeded(l, applied) {
		l.drops, l.lost = false, r.losses
	}
	if now := r.counted(l, applied); now > l.applied && r.verifiers[l.who] == l {
		r.floors.remove(l.applied)
		l.applied = now
		r.floors.add(now)
		r.publish()
	}
}
