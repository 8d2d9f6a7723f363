package stdio

import (
	"strconv"
	"sync"
	"time"
)

// A session is a child with its clients: one client that initialized it, or in the protocol
// without sessions all clients of one key.
type session struct {
	b      *Backend
	id     string // empty without sessions
	keyID  string
	child  *child        // set when started is closed, unless startErr is
	began  time.Time     // when the child was started
	start  chan struct{} // closed when the child was started or could not be
	failed error         // why it could not
	gone   chan struct{} // closed when the child has ended and the session is forgotten

	mu       sync.Mutex
	ending   bool
	answered bool // the child answered at least once
	probed   bool // the child was asked server/discover
	uses     int  // requests and streams
	idle     *time.Timer
	idleAt   time.Time
	calls    map[string]*call // by the id that the child knows
	tokens   map[string]*call // by the progress token that the child knows
	asked    map[string]bool  // requests of the child that the client has to answer, by id
	posts    map[*stream]bool // open, and able to take more than answers
	get      *stream
	pending  *queue // what waits for a stream
	last     uint64 // id given to the child
}

// maxAsked bounds the requests of a child that no client answers.
const maxAsked = 1000

func newSession(b *Backend, id, keyID string) *session {
	return &session{
		b: b, id: id, keyID: keyID, start: make(chan struct{}), gone: make(chan struct{}), idleAt: clock(),
		calls: map[string]*call{}, tokens: map[string]*call{}, asked: map[string]bool{}, posts: map[*stream]bool{},
		pending: newQueue(pendingQueue),
	}
}

func (s *session) shared() bool { return s.id == "" }

// begin counts a request or a stream; it fails if the session ends.
func (s *session) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return false
	}
	s.uses++
	if s.idle != nil {
		s.idle.Stop()
	}
	return true
}

func (s *session) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uses--
	if s.uses > 0 || s.ending {
		return
	}
	s.idleAt = clock()
	s.idle = time.AfterFunc(s.b.o.Idle, func() { _ = s.endIfIdle("The session was idle for too long.") })
}

// endIfIdle ends the session unless it is in use, and reports whether it ends.
func (s *session) endIfIdle(why string) bool {
	s.mu.Lock()
	if s.uses == 0 {
		s.ending = true
	}
	ending := s.ending
	s.mu.Unlock()
	if ending {
		s.end(why)
	}
	return ending
}

// end refuses further requests and ends the child, which fails the open ones.
func (s *session) end(why string) {
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	s.b.hide(s)
	<-s.start
	if s.child != nil {
		s.child.end(why)
	}
}

// duplicateError says that a client used an id twice at the same time.
type duplicateError struct{ id []byte }

func (e *duplicateError) Error() string {
	return "the id " + printable(e.id, 100) + " belongs to a request that is still open"
}

// admit registers the requests among list and returns what to send to the child.
func (s *session) admit(st *stream, list []*message) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return nil, errGone
	}
	if err := s.unused(list); err != nil {
		return nil, err
	}
	var out [][]byte
	for _, m := range list {
		if text := s.translate(st, m); text != nil {
			out = append(out, text)
		}
	}
	if st.left > 0 && st.more {
		s.posts[st] = true
		s.flush(st)
	}
	return out, nil
}

// unused refuses an id that a session has open already, or that a batch has twice.
func (s *session) unused(list []*message) error {
	seen := map[string]bool{}
	for _, m := range list {
		if !m.request() {
			continue
		}
		key, _ := idKey(m.bytes(m.id))
		if _, open := s.calls[key]; open && !s.shared() || seen[key] {
			return &duplicateError{m.bytes(m.id)}
		}
		seen[key] = true
	}
	return nil
}

// translate registers a message and returns it as the child gets it, or nil.
func (s *session) translate(st *stream, m *message) []byte {
	switch {
	case m.request():
		return s.register(st, m)
	case m.answer:
		key, _ := idKey(m.bytes(m.id))
		if !s.asked[key] {
			return nil
		}
		delete(s.asked, key)
	case m.method == "notifications/cancelled" && !m.requestID.none():
		return s.cancelled(m)
	}
	return m.text
}

func (s *session) register(st *stream, m *message) []byte {
	c := &call{stream: st, id: m.bytes(m.id), childID: m.bytes(m.id), method: m.method}
	if !m.token.none() {
		if _, ok := idKey(m.bytes(m.token)); ok {
			c.token, c.childToken = m.bytes(m.token), m.bytes(m.token)
		}
	}
	if s.shared() {
		s.last++
		c.childID = strconv.AppendUint(nil, s.last, 10)
		if c.token != nil {
			c.childToken = c.childID
		}
	}
	s.probed = s.probed || m.method == methodDiscover
	key, _ := idKey(c.childID)
	s.calls[key] = c
	st.calls = append(st.calls, c)
	st.left++
	edits := []edit{{m.id, c.childID}}
	if c.token != nil {
		key, _ := idKey(c.childToken)
		s.tokens[key] = c
		edits = append(edits, edit{m.token, c.childToken})
	}
	if !s.shared() {
		return m.text
	}
	return m.with(edits...)
}

// cancelled returns a client's cancellation with the child's id. In the protocol without
// sessions an id may be that of several clients; then nothing is cancelled, since each client
// also closes its stream.
func (s *session) cancelled(m *message) []byte {
	key, ok := idKey(m.bytes(m.requestID))
	if !ok {
		return nil
	}
	var found *call
	for _, c := range s.calls {
		if own, _ := idKey(c.id); own == key {
			if found != nil {
				return nil
			}
			found = c
		}
	}
	if found == nil || found.method == "initialize" {
		return nil
	}
	s.drop(found)
	found.stream.left--
	found.stream.queue.force(item{answer: true})
	return m.with(edit{m.requestID, found.childID})
}

// drop forgets a call.
func (s *session) drop(c *call) {
	key, _ := idKey(c.childID)
	if s.calls[key] == c {
		delete(s.calls, key)
	}
	if c.token != nil {
		if key, _ := idKey(c.childToken); s.tokens[key] == c {
			delete(s.tokens, key)
		}
	}
}
