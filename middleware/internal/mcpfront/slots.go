package mcpfront

import (
	"net/http"
	"sync"

	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// maxSessions is how many sessions a key may have open through one handler: each takes memory
// until its client ends it.
const maxSessions = 64

// maxStreams is how many subscriptions a key may have open without a session: each takes a
// stream, and memory, until its client ends it.
const maxStreams = 64

// MaxBatch is how many messages one request may carry. Only the oldest protocol versions have
// batches.
const MaxBatch = 16

// BatchTooLarge is the answer to a request with more messages.
var BatchTooLarge = middleware.Problem{
	Status: http.StatusBadRequest, Code: "batch_too_large",
	Detail: "One request may carry at most 16 messages. Send the others in further requests.",
}

// What a request hears whose session is not its key's, is not known, or cannot be opened.
var (
	OtherKeysSession = middleware.Problem{
		Status: http.StatusForbidden, Code: "session_mismatch",
		Detail: "This session belongs to another API key. Open a new one.",
	}
	UnknownSession = middleware.Problem{
		Status: http.StatusNotFound, Code: "unknown_session",
		Detail: "Session not found. Open a new one.",
	}
	TooManySessions = middleware.Problem{
		Status: http.StatusTooManyRequests, Code: "too_many_sessions",
		Detail: "This API key has 64 sessions open, and all of them are in use. Close one of them, then try again.",
	}
	TooManyStreams = middleware.Problem{
		Status: http.StatusTooManyRequests, Code: "too_many_streams",
		Detail: "This API key has 64 subscriptions open. Close one of them, then try again.",
	}
)

// The same within the protocol.
var (
	ErrTooManyStreams  = mcppolicy.InvalidRequest(TooManyStreams.Detail)
	ErrTooManySessions = mcppolicy.InvalidRequest(TooManySessions.Detail)
)

// Slots are the sessions of each key. If a key opens one session too many, the one that was
// idle longest is closed; a session with a running POST or an open stream is not idle. The zero
// Slots is valid.
type Slots struct {
	mu    sync.Mutex
	byKey map[string]*holding
	byID  map[string]*slot
	turns uint64 // counts the ends of visits, to order them
}

// holding is what one key has open, or is about to open.
type holding struct {
	reserved int
	streams  int // subscriptions without a session
	slots    map[*slot]struct{}
}

type slot struct {
	id, keyID string
	visits    int    // running requests
	since     uint64 // when the last of them ended
	end       func() // closes the session
}

// Visit is what one request uses, from before its session is known until the request ends.
type Visit struct {
	of       *Slots
	keyID    string
	reserved bool // guarded by of.mu, like the following fields
	slot     *slot
	listens  bool // it holds a subscription
	over     bool
}

// Visit begins the visit of a request. It must end with Leave.
func (l *Slots) Visit(keyID string) *Visit { return &Visit{of: l, keyID: keyID} }

// Enter begins to use a session of this key, which is not idle until Leave. It fails while the
// session is being ended.
func (v *Visit) Enter(id string) bool {
	v.of.mu.Lock()
	defer v.of.mu.Unlock()
	s := v.of.byID[id]
	if s == nil {
		return false
	}
	s.visits++
	v.slot = s
	return true
}

// Reserve makes room for a session that this visit is about to open.
func (v *Visit) Reserve() bool {
	v.of.mu.Lock()
	defer v.of.mu.Unlock()
	if v.reserved {
		return true
	}
	h := v.of.holding(v.keyID)
	if h.reserved+len(h.slots) >= maxSessions && !v.of.endIdle(h) {
		return false
	}
	h.reserved++
	v.reserved = true
	return true
}

// Listen makes room for the subscription that this visit holds until it ends.
func (v *Visit) Listen() bool {
	v.of.mu.Lock()
	defer v.of.mu.Unlock()
	if v.listens || v.over {
		return v.listens
	}
	if h := v.of.byKey[v.keyID]; h != nil && h.streams >= maxStreams {
		return false
	}
	v.of.holding(v.keyID).streams++
	v.listens = true
	return true
}

// holding returns what a key has open.
func (l *Slots) holding(keyID string) *holding {
	h := l.byKey[keyID]
	if h == nil {
		h = &holding{slots: map[*slot]struct{}{}}
		if l.byKey == nil {
			l.byKey, l.byID = map[string]*holding{}, map[string]*slot{}
		}
		l.byKey[keyID] = h
	}
	return h
}

// endIdle ends the session that was idle longest.
func (l *Slots) endIdle(h *holding) bool {
	var first *slot
	for s := range h.slots {
		if s.visits == 0 && (first == nil || s.since < first.since) {
			first = s
		}
	}
	if first == nil {
		return false
	}
	l.remove(first)
	go first.end()
	return true
}

// Opened notes the session that this visit has opened, in the reserved room. If the visit ended
// before, the room may be gone.
func (v *Visit) Opened(id string, end func()) bool {
	if !v.Reserve() {
		return false
	}
	l := v.of
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.holding(v.keyID)
	h.reserved--
	v.reserved = false
	s := &slot{id: id, keyID: v.keyID, end: end, since: l.turns}
	if !v.over {
		s.visits++
		v.slot = s
	}
	h.slots[s], l.byID[id] = struct{}{}, s
	return true
}

// Leave ends the visit.
func (v *Visit) Leave() {
	l := v.of
	l.mu.Lock()
	defer l.mu.Unlock()
	v.over = true
	if s := v.slot; s != nil {
		l.turns++
		s.visits--
		s.since = l.turns
	}
	if v.listens {
		v.listens = false
		l.holding(v.keyID).streams--
		l.tidy(v.keyID)
	}
	v.giveBack()
}

// Settle gives back the reserved room if the visit has already ended.
func (v *Visit) Settle() {
	v.of.mu.Lock()
	defer v.of.mu.Unlock()
	if v.over {
		v.giveBack()
	}
}

// giveBack ends a reservation, if there is one.
func (v *Visit) giveBack() {
	if v.reserved {
		v.reserved = false
		v.of.holding(v.keyID).reserved--
		v.of.tidy(v.keyID)
	}
}

// Closed removes a session that has ended.
func (l *Slots) Closed(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.byID[id]; s != nil {
		l.remove(s)
	}
}

func (l *Slots) remove(s *slot) {
	delete(l.byID, s.id)
	delete(l.holding(s.keyID).slots, s)
	l.tidy(s.keyID)
}

// tidy removes a key without sessions and subscriptions.
func (l *Slots) tidy(keyID string) {
	if h := l.byKey[keyID]; h != nil && h.reserved == 0 && h.streams == 0 && len(h.slots) == 0 {
		delete(l.byKey, keyID)
	}
}
