package mcphttp

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// sessions has the sessions that next has opened through one handler, by id.
type sessions struct {
	mu   sync.Mutex
	byID map[string]*session
}

// session belongs to one key.
type session struct {
	h        *Endpoint
	id       string
	keyID    string
	template *http.Request // for requests of the handler's own
	watch    *mcpfront.Watch
	idle     *time.Timer

	mu        sync.Mutex
	promised  mcpfront.Lists // what its client is told of changed lists
	listening bool           // a stream is told
	uses      int
	running   map[string]bool // the ids of requests that have no answer yet
	asked     map[string]asked
	order     []string
}

// asked is a request that next may answer on another stream.
type asked struct {
	method string
	needs  mcppolicy.Needs
}

// keptAsked is how many requests of a session are remembered, and keptScope how long the scope
// of one may be. An answer to an older one is not passed on.
const (
	keptAsked = 1024
	keptScope = 4 << 10
)

// maxSessionID is how long the id of a session may be.
const maxSessionID = 256

func (l *sessions) get(id string) *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id]
}

func (l *sessions) all() (list []*session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.byID {
		list = append(list, s)
	}
	return list
}

// enter admits a request to its session, if it names one. It returns false if it has answered.
func (x *exchange) enter() bool {
	ids := x.r.Header[mcpfront.HeaderSession]
	if len(ids) == 0 || len(ids) == 1 && ids[0] == "" {
		x.r.Header.Del(mcpfront.HeaderSession)
		return true
	}
	s := x.h.sessions.get(ids[0])
	switch {
	case len(ids) > 1 || s == nil:
		x.refuse(mcpfront.UnknownSession)
	case s.keyID != x.identity.KeyID():
		x.refuse(mcpfront.OtherKeysSession)
	case !x.visit.Enter(s.id):
		x.refuse(mcpfront.UnknownSession)
	default:
		x.session = s
		return true
	}
	return false
}

// bind makes the session that next has just opened one of this key. It fails for an id that
// another session has.
func (x *exchange) bind(id string) bool {
	s := &session{h: x.h, id: id, keyID: x.identity.KeyID(), template: x.r.Clone(x.admitted), asked: map[string]asked{}}
	s.template.Body = nil
	if !plain(id) {
		return false
	}
	x.h.sessions.mu.Lock()
	defer x.h.sessions.mu.Unlock()
	if x.h.sessions.byID == nil {
		x.h.sessions.byID = map[string]*session{}
	}
	if x.h.sessions.byID[id] != nil {
		return false
	}
	x.h.sessions.byID[id] = s
	s.watch = mcpfront.NewWatch(x.admitted, x.h.guard, s.end)
	s.idle = time.AfterFunc(x.h.timeout, s.end)
	if !x.visit.Opened(id, s.end) {
		go s.end()
	}
	x.session = s
	return true
}

// plain reports whether an id has only the characters that the protocol allows.
func plain(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return id != "" && len(id) <= maxSessionID
}

// begin notes a request of the session. It runs until served is called.
func (s *session) begin(admitted context.Context) {
	s.mu.Lock()
	s.uses++
	s.idle.Stop()
	s.mu.Unlock()
	s.watch.Seen(admitted)
}

func (s *session) served() {
	s.watch.Served()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uses--; s.uses == 0 {
		s.idle.Reset(s.h.timeout)
	}
}

// open notes that requests run. It refuses an id that another one has: a server that finds the stream
// of a request by its id would send one's answer as the other's.
func (s *session) open(calls []verdict) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range calls {
		if s.running[v.message.key] {
			return false
		}
	}
	if s.running == nil {
		s.running = map[string]bool{}
	}
	for _, v := range calls {
		s.running[v.message.key] = true
	}
	return true
}

func (s *session) answered(calls []verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range calls {
		delete(s.running, v.message.key)
	}
}

// forget ends the session on this side. It returns false if that was done before.
func (s *session) forget() bool {
	s.h.sessions.mu.Lock()
	known := s.h.sessions.byID[s.id] == s
	if known {
		delete(s.h.sessions.byID, s.id)
	}
	s.h.sessions.mu.Unlock()
	if !known {
		return false
	}
	s.h.slots.Closed(s.id)
	s.watch.Close()
	s.idle.Stop()
	return true
}

// end ends the session on both sides.
func (s *session) end() {
	if s.forget() {
		s.h.deleteSession(s.watch.Last(), s.template, s.id)
	}
}

// remember notes a request that next gets.
func (s *session) remember(v verdict) {
	if len(v.needs.Scope) > keptScope {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := v.message.key
	if _, again := s.asked[key]; !again {
		s.order = append(s.order, key)
	}
	s.asked[key] = asked{v.message.method, v.needs}
	if len(s.order) > keptAsked {
		delete(s.asked, s.order[0])
		s.order = s.order[1:]
	}
}

func (s *session) recall(key string) (asked, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.asked[key]
	return a, ok
}
