package verifier

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// counted are the outcomes that are counted of a key. The most frequent one is first, because
// they are searched in this order.
var counted = [...]keys.Code{
	keys.CodeValid, keys.CodeNotFound, keys.CodeRevoked, keys.CodeDisabled, keys.CodeExpired, keys.CodeSuperseded,
	keys.CodeWrongKind, keys.CodeWrongAudience, keys.CodeIPNotAllowed, keys.CodeRateLimited,
}

// tally is what was counted of one key and not written yet. It lies in the key's
// cell, and is still written when the cell is evicted. What most keys never need is made when it
// is used.
type tally struct {
	key     keyID
	pending atomic.Bool   // it is in the list of those to be written
	valid   atomic.Uint32 // counts the first of counted
	others  atomic.Pointer[[len(counted) - 1]atomic.Uint32]

	first slot // of the secret that was proved first; the others follow it
	scopes
}

// slot is the last use of one secret. The time is that of the last use; where it came
// from is noted once between two writings, because that takes a lock.
type slot struct {
	secret int64        // zero: there is none yet
	at     atomic.Int64 // microseconds since 1970; 0 when all is written

	mu    sync.Mutex // held to change place, and to take it
	place atomic.Pointer[place]

	next *slot // guarded by the tally's adding, like secret
}

// place is where a use since the last writing came from.
type place struct {
	ip    netip.Addr
	agent string
}

// slot returns the slot of a secret, always the same one.
func (t *tally) slot(secret int64) *slot {
	t.adding.Lock()
	defer t.adding.Unlock()
	s := &t.first
	for s.secret != secret {
		switch {
		case s.secret == 0:
			s.secret = secret
		case s.next == nil:
			s.next = &slot{secret: secret}
		default:
			s = s.next
		}
	}
	return s
}

// use notes the address before the time: so a time is never written with an address from
// before the last write.
func (s *slot) use(now int64, call *Call) {
	if s.place.Load() == nil {
		s.note(call)
	}
	at := now / int64(time.Microsecond)
	if since := at - s.at.Load(); since < 0 || since >= lastUseStep {
		s.at.Store(at)
		if s.place.Load() == nil { // the other one was written before this time
			s.note(call)
		}
	}
}

// lastUseStep is how exact a last use is, in microseconds. To note every one would
// have the cores of a busy key wait for each other.
const lastUseStep = 1000

func (s *slot) note(call *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place.Store(&place{call.ClientIP.Unmap().WithZone(""), usage.AgentOf(call.Agent)})
}

// count counts one outcome.
func (t *tally) count(code keys.Code) {
	if code == counted[0] {
		t.valid.Add(1)
		return
	}
	for i, one := range counted[1:] {
		if one == code {
			t.other()[i].Add(1)
			return
		}
	}
}

// other has the counts of counted but the first.
func (t *tally) other() *[len(counted) - 1]atomic.Uint32 {
	if all := t.others.Load(); all != nil {
		return all
	}
	t.others.CompareAndSwap(nil, new([len(counted) - 1]atomic.Uint32))
	return t.others.Load()
}

// taken are the counts since the last time, in the order of counted.
func (t *tally) taken() (counts [len(counted)]uint32) {
	counts[0] = t.valid.Swap(0)
	if all := t.others.Load(); all != nil {
		for i := range all {
			counts[1+i] = all[i].Swap(0)
		}
	}
	return counts
}

// countScopes counts the required scopes of a request, each under the code of the decision on
// it, which is valid or insufficient_scope. It never fails and decides nothing.
func (v *Verifier) countScopes(id string, code keys.Code, scopes []string) {
	c := v.cache.cells.find(id)
	if len(scopes) == 0 || c == nil {
		return
	}
	for _, scope := range scopes {
		c.tally.countScope(scope, code, v.clock.time)
	}
	v.ledger.uses.note(&c.tally)
}

// empty empties the tally into a Use. A count that is added at that moment is either in the
// Use or stays in the tally.
func (t *tally) empty(hour time.Time) usage.Use {
	use := usage.Use{KeyID: string(t.key[:])}
	for i, n := range t.taken() {
		if n > 0 {
			use.Counts = append(use.Counts, usage.Count{Hour: hour, Code: counted[i], Calls: int64(n)})
		}
	}
	use.Counts = t.scopes.empty(use.Counts, hour)
	t.adding.Lock()
	defer t.adding.Unlock()
	for s := &t.first; s != nil; s = s.next {
		if last, ok := s.empty(); ok {
			use.Last = append(use.Last, last)
		}
	}
	return use
}

func (s *slot) empty() (last keys.LastUse, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.place.Swap(nil)
	at := s.at.Swap(0)
	if at == 0 {
		return last, false
	}
	last = keys.LastUse{Secret: s.secret, At: time.UnixMicro(at).UTC()}
	if from != nil {
		last.ClientIP, last.Agent = from.ip, from.agent
	}
	return last, true
}

// uses are the tallies that wait to be written.
type uses struct {
	source writer
	clock  func() time.Time
	max    int                       // tallies that may wait; further ones are not counted
	within func(after time.Duration) // plans a write of them

	unwritten backlog // only write uses it

	mu      sync.Mutex // guards what follows
	waiting []*tally
	hour    time.Time // of the first of them
	closed  bool
}

// note makes sure that t will be written.
func (u *uses) note(t *tally) {
	if t.pending.Load() || !t.pending.CompareAndSwap(false, true) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed || len(u.waiting) >= u.max {
		t.pending.Store(false)
		return
	}
	if u.waiting = append(u.waiting, t); len(u.waiting) == 1 {
		now := u.clock()
		u.hour = now.UTC().Truncate(time.Hour)
		u.within(min(flushEvery, u.hour.Add(time.Hour).Sub(now)))
	}
}

// write writes all that waits. After a failure it is kept for the next write.
func (u *uses) write() error {
	list := append(u.unwritten.uses(), u.collect()...)
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	kept := list // even if the source panics
	defer func() { u.unwritten = newBacklog(kept, u.max) }()
	err := u.source.AddUse(ctx, list)
	if err == nil {
		kept = nil
	}
	return err
}

// collect empties the tallies that wait.
func (u *uses) collect() []usage.Use {
	u.mu.Lock()
	batch, hour := u.waiting, u.hour
	u.waiting = nil
	u.mu.Unlock()
	list := make([]usage.Use, 0, len(batch))
	for _, t := range batch {
		t.pending.Store(false) // first: what is counted from here on waits again
		list = append(list, t.empty(hour))
	}
	return list
}

// close stops the counting; what waits can still be written.
func (u *uses) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
}
