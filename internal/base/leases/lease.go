package leases

import (
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys/feed"
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
}

// Renewal is a request for a lease.
type Renewal struct {
	Caller                   string // the id of the verify key
	Instance                 protocol.Instance
	Audience, Address, Agent string
	Applied                  protocol.Position
	Era                      string // of the last answer whose All the verifier has heeded
}

// Renew notes the lease, publishes the floor, makes sure of the slot, and only then looks at
// the store. It returns what the verifier must drop, and the lease. It fails with [ErrBeyond],
// or with [keys.ErrUnavailable] if the store cannot be read; the noted lease then stays noted,
// because an earlier answer may have granted it.
func (r *Registry) Renew(ctx context.Context, q Renewal) (protocol.Granted, error) {
	arrived := r.elapsed()
	l, granted, err := r.note(&q, arrived) //nolint:contextcheck // a warning about the server is of no request
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
	out, ids, err := r.grant(&q, l) //nolint:contextcheck // as above
	if err != nil {
		return out, err
	}
	for _, id := range ids {
		out.Drop = append(out.Drop, q.Instance.TagOf(id))
	}
	out.Time = r.now().UTC()
	if granted && r.elapsed() < arrived+feed.LongestLease {
		out.Lease = feed.Lease.Milliseconds()
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
	l.until = max(l.until, arrived+feed.LongestLease)
	l.applied = r.counted(q)
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
	l := &lease{who: id, since: r.now().UTC()}
	l.place = r.arrivals.PushBack(l)
	r.verifiers[id] = l
	r.byCaller[id.caller]++
	return l
}

// expire lets leases end. They end in the order in which they arrived.
func (r *Registry) expire() {
	now := r.elapsed()
	for e := r.arrivals.Front(); e != nil; e = r.arrivals.Front() {
		l := e.Value.(*lease)
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

// counted is what a verifier has applied, as it counts for the floor. What the store has not
// reached, as far as this server knows, and what was applied in another era, counts as nothing.
func (r *Registry) counted(q *Renewal) protocol.Position {
	if q.Era != r.era || q.Applied > r.position {
		return before
	}
	return max(q.Applied, before)
}

// distrust is called when the history was lost: another era begins. Whatever a verifier has
// applied counts as nothing, until it says that it has dropped everything in the new one.
func (r *Registry) distrust() {
	r.era = newEra()
	for _, l := range r.verifiers {
		r.floors.remove(l.applied)
		l.applied = before
		r.floors.add(before)
	}
	r.publish()
}

// newEra is a text that no other era has, of any server.
func newEra() string { return rand.Text() }

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
	out = protocol.Granted{Position: r.position, Era: r.era, Imported: r.imported}
	if l != nil {
		r.recount(l, q)
	}
	ids, known := r.history.since(q.Applied)
	if out.All = l == nil || q.Era != r.era || !known; out.All {
		return out, nil, nil
	}
	return out, ids, nil
}

// recount counts what the verifier has applied once more: the look may have found that the store
// has reached it.
func (r *Registry) recount(l *lease, q *Renewal) {
	if now := r.counted(q); now > l.applied && r.verifiers[l.who] == l {
		r.floors.remove(l.applied)
		l.applied = now
		r.floors.add(now)
		r.publish()
	}
}
