package verifier

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

const (
	// flushEvery is how long counts stay in memory at the most, so it is also what a
	// crash can lose. Where an hour ends they are written at once: they belong to it.
	flushEvery = 5 * time.Second
	// flushWithin bounds one writing. Counts that could not be written are kept.
	flushWithin = 10 * time.Second
	// maxScopes is how many scopes of one key are counted each on its own in one hour,
	// and maxDenied how many that it was not granted: whoever may call every tool may
	// also call tools that do not exist, and whoever may call none can still name them.
	maxScopes = 64
	maxDenied = 16
	// maxScopeText is the longest scope, in bytes, that is counted on its own.
	maxScopeText = 128
)

// counted are the outcomes that are counted of a key. The first is the one that has
// to be quick.
var counted = [...]keys.Code{
	keys.CodeValid, keys.CodeNotFound, keys.CodeRevoked, keys.CodeDisabled, keys.CodeExpired, keys.CodeSuperseded,
	keys.CodeWrongKind, keys.CodeWrongAudience, keys.CodeIPNotAllowed, keys.CodeRateLimited,
}

// tally is what was counted of one key and not written yet. It lies in the key's
// cell, and goes on to be written when the cell is evicted.
type tally struct {
	keyID   string
	pending atomic.Bool // it is in the list of those to be written
	counts  [len(counted)]atomic.Uint32

	mu     sync.Mutex
	slots  []*slot
	scopes map[scopeCount]*int64 // zeros stay, so that there is a limit to the scopes of an hour
	hour   time.Time
}

type scopeCount struct {
	scope string
	code  keys.Code
}

// slot is the last use of one secret. The time is that of the last use; where it came
// from is noted once between two writings, because that takes a lock.
type slot struct {
	secret int64
	at     atomic.Int64 // microseconds since 1970; 0 when all is written
	placed atomic.Bool  // ip and agent are those of a use since the last writing

	mu    sync.Mutex
	ip    netip.Addr
	agent string
}

// slot returns the one of a secret, the same for ever.
func (t *tally) slot(secret int64) *slot {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.slots, func(s *slot) bool { return s.secret == secret })
	if i < 0 {
		i = len(t.slots)
		t.slots = append(t.slots, &slot{secret: secret})
	}
	return t.slots[i]
}

// use notes where the call comes from before it notes the time: a time is never
// written with a place that is older than the writing before.
func (s *slot) use(now time.Time, call *Call) {
	if !s.placed.Load() {
		s.place(call)
	}
	at := now.UnixMicro()
	if since := at - s.at.Load(); since < 0 || since >= lastUseStep {
		s.at.Store(at)
	}
}

// lastUseStep is how exact a last use is, in microseconds. To note every one would
// have the cores of a busy key wait for each other.
const lastUseStep = 1000

func (s *slot) place(call *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ip, s.agent = call.ClientIP.Unmap().WithZone(""), keys.AgentOf(call.Agent)
	s.placed.Store(true)
}

// count counts one outcome.
func (t *tally) count(code keys.Code) {
	for i := range counted {
		if counted[i] == code {
			t.counts[i].Add(1)
			return
		}
	}
}

// CountScopes counts what was asked of a key beyond its being good: scopes, each
// under d's code, which is valid or insufficient_scope. Guards call it once for what
// a request needs. It never fails and decides nothing.
func (v *Verifier) CountScopes(d keys.Decision, scopes ...string) {
	if len(scopes) == 0 || d.Code != keys.CodeValid && d.Code != keys.CodeInsufficientScope {
		return
	}
	c, ok := v.cells.GetIfPresent(d.KeyID)
	if !ok {
		return
	}
	for _, scope := range scopes {
		c.tally.countScope(scopeCount{scope, d.Code}, v.clock)
	}
	v.uses.note(&c.tally)
}

func (t *tally) countScope(s scopeCount, clock func() time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.scopes[s]
	if n == nil {
		n = t.newScope(s, clock().UTC().Truncate(time.Hour))
	}
	*n++
}

// newScope makes room for a scope that was not asked for this hour, or finds the room
// that all share for whom there is none.
func (t *tally) newScope(s scopeCount, hour time.Time) *int64 {
	if !t.hour.Equal(hour) {
		t.hour = hour
		t.forgetWritten()
	}
	if !t.roomFor(s.code) || unfitToKeep(s.scope) {
		s.scope = keys.OtherScopes
	}
	return t.scope(s)
}

// unfitToKeep: a caller may name tools by texts that are too long, or that are no scopes,
// or that hold a key or the secret of one. The log leaves out the same.
func unfitToKeep(scope string) bool {
	return len(scope) > maxScopeText || keys.ValidateRequired(scope) != nil || keys.LooksLikeToken(scope)
}

func (t *tally) roomFor(code keys.Code) bool {
	most, n := maxScopes, 0
	if code != keys.CodeValid {
		most = maxDenied
	}
	for s := range t.scopes {
		if s.code == code {
			n++
		}
	}
	return n < most
}

func (t *tally) scope(s scopeCount) *int64 {
	n := t.scopes[s]
	if n == nil {
		if t.scopes == nil {
			t.scopes = map[scopeCount]*int64{}
		}
		n = new(int64)
		t.scopes[s] = n
	}
	return n
}

func (t *tally) forgetWritten() {
	for s, n := range t.scopes {
		if *n == 0 {
			delete(t.scopes, s)
		}
	}
}

// take empties the tally into a Use. Whatever is counted meanwhile is either in it or
// still there.
func (t *tally) take(hour time.Time) keys.Use {
	use := keys.Use{KeyID: t.keyID}
	for i := range t.counts {
		if n := t.counts[i].Swap(0); n > 0 {
			use.Counts = append(use.Counts, keys.UseCount{Hour: hour, Code: counted[i], Calls: int64(n)})
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, n := range t.scopes {
		if *n > 0 {
			use.Counts = append(use.Counts, keys.UseCount{Hour: hour, Code: s.code, Scope: s.scope, Calls: *n})
			*n = 0
		}
	}
	for _, s := range t.slots {
		if last, ok := s.take(); ok {
			use.Last = append(use.Last, last)
		}
	}
	return use
}

func (s *slot) take() (last keys.LastUse, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.placed.Store(false)
	at := s.at.Swap(0)
	return keys.LastUse{Secret: s.secret, At: time.UnixMicro(at).UTC(), ClientIP: s.ip, Agent: s.agent}, at != 0
}

// uses writes tallies down. A timer runs while there is something to write, and no
// goroutine while there is not.
type uses struct {
	log     keys.UseLog
	clock   func() time.Time
	max     int         // tallies that may wait; further ones are not counted
	onError func(error) // nil: nobody wants to know

	writing   sync.Mutex // held while a batch is on its way, guards unwritten
	unwritten backlog

	mu      sync.Mutex // guards what follows
	waiting []*tally
	hour    time.Time // of the first of them
	timer   *time.Timer
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
		u.start(min(flushEvery, u.hour.Add(time.Hour).Sub(now)))
	}
}

func (u *uses) start(after time.Duration) {
	u.timer = time.AfterFunc(after, func() { _ = u.flush() })
}

// flush writes all that waits. What fails is written with the next.
func (u *uses) flush() error {
	u.writing.Lock()
	defer u.writing.Unlock()
	list := append(u.unwritten.uses(), u.take()...)
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	err := u.log.AddUse(ctx, list)
	if err == nil {
		u.unwritten = backlog{}
		return nil
	}
	u.unwritten = newBacklog(list, u.max)
	u.retry()
	if u.onError != nil {
		u.onError(err)
	}
	return err
}

// take empties the tallies that wait.
func (u *uses) take() []keys.Use {
	u.mu.Lock()
	batch, hour := u.waiting, u.hour
	u.waiting = nil
	u.mu.Unlock()
	list := make([]keys.Use, 0, len(batch))
	for _, t := range batch {
		t.pending.Store(false) // first: what is counted from here on waits anew
		list = append(list, t.take(hour))
	}
	return list
}

// retry sees to it that what failed is tried again, also when nothing is counted any
// more.
func (u *uses) retry() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.closed && len(u.waiting) == 0 {
		u.start(flushEvery)
	}
}

// close writes what waits and counts no more. What cannot be written then is lost.
func (u *uses) close() error {
	u.mu.Lock()
	u.closed = true
	if u.timer != nil {
		u.timer.Stop()
	}
	u.mu.Unlock()
	return u.flush()
}
