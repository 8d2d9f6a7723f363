package mcpauth

import (
	"net/http"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// maxSessions is how many sessions a key may have open through one handler: each takes memory
// until its client ends it.
const maxSessions = 64

// maxStreams is how many subscriptions a key may have open without a session: each takes a
// stream, and memory, until its client ends it.
const maxStreams = 64

// listenMethod is the message that opens one.
const listenMethod = "subscriptions/listen"

var (
	otherKeysSession = middleware.Problem{
		Status: http.StatusForbidden, Code: "session_mismatch",
		Detail: "This session belongs to another API key. Open a new one.",
	}
	unknownSession = middleware.Problem{
		Status: http.StatusNotFound, Code: "unknown_session",
		Detail: "Session not found. Open a new one.",
	}
	tooManySessions = middleware.Problem{
		Status: http.StatusTooManyRequests, Code: "too_many_sessions",
		Detail: "This API key has 64 sessions open, and all of them are in use. Close one of them, then try again.",
	}
)

var tooManyStreams = middleware.Problem{
	Status: http.StatusTooManyRequests, Code: "too_many_streams",
	Detail: "This API key has 64 subscriptions open. Close one of them, then try again.",
}

var errTooManyStreams = &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: tooManyStreams.Detail}

var errTooManySessions = &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: tooManySessions.Detail}

// slots are the sessions of each key. If a key opens one session too many, the one that was
// idle longest is closed; a session with a running POST or an open stream is not idle. The zero
// slots is valid.
type slots struct {
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

// visit is what one request uses, from before its session is known until the request ends.
type visit struct {
	of       *slots
	keyID    string
	reserved bool // guarded by of.mu, like the following fields
	slot     *slot
	listens  bool // it holds a subscription
	over     bool
}

// visit admits a request, to its session if it names one. It returns nil if it has answered,
// before anything of the body is read.
func (h *handler) visit(w http.ResponseWriter, r *http.Request) *visit {
	caller, _ := keys.IdentityFrom(r.Context())
	v := &visit{of: &h.slots, keyID: caller.KeyID()}
	id := r.Header.Get(headerSession)
	if id == "" {
		return v
	}
	switch session := h.sessions.get(id); {
	case session == nil:
		h.guard.Refuse(w, r, unknownSession)
	case session.keyID != v.keyID:
		h.guard.Refuse(w, r, otherKeysSession)
	case !v.enter(id):
		h.guard.Refuse(w, r, unknownSession)
	default:
		return v
	}
	return nil
}

// enter begins to use a session of this key, which is not idle until leave. It fails while the
// session is being ended.
func (v *visit) enter(id string) bool {
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

// reserve makes room for a session that this visit is about to open.
func (v *visit) reserve() bool {
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

// listen makes room for the subscription that this visit holds until it ends.
func (v *visit) listen() bool {
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
func (l *slots) holding(keyID string) *holding {
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
func (l *slots) endIdle(h *holding) bool {
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

// opened notes the session that this visit has opened, in the reserved room. If the visit ended
// before, the room may be gone.
func (v *visit) opened(id string, end func()) bool {
	if !v.reserve() {
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

// leave ends the visit.
func (v *visit) leave() {
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

// settle gives back the reserved room if the visit has already ended.
func (v *visit) settle() {
	v.of.mu.Lock()
	defer v.of.mu.Unlock()
	if v.over {
		v.giveBack()
	}
}

// giveBack ends a reservation, if there is one.
func (v *visit) giveBack() {
	if v.reserved {
		v.reserved = false
		v.of.holding(v.keyID).reserved--
		v.of.tidy(v.keyID)
	}
}

// closed removes a session that has ended.
func (l *slots) closed(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.byID[id]; s != nil {
		l.remove(s)
	}
}

func (l *slots) remove(s *slot) {
	delete(l.byID, s.id)
	delete(l.holding(s.keyID).slots, s)
	l.tidy(s.keyID)
}

// tidy removes a key without sessions and subscriptions.
func (l *slots) tidy(keyID string) {
	if h := l.byKey[keyID]; h != nil && h.reserved == 0 && h.streams == 0 && len(h.slots) == 0 {
		delete(l.byKey, keyID)
	}
}
