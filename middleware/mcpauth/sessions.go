package mcpauth

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// sessions are those that were opened through one handler, by id. To the SDK a session
// lives on when its key does not, and goes on collecting what the server says.
type sessions struct {
	mu   sync.Mutex
	byID map[string]*session
}

// session is one key's, whose last request speaks for it: a session that was opened
// with a rotated secret goes on with the new one, and is told no more than the key was
// granted when it came last.
type session struct {
	server *mcp.ServerSession
	keyID  string

	mu      sync.Mutex
	last    caller
	held    bool   // as last was admitted; else it is asked for every askEvery
	release func() // lets go of the hold, or of the question
	over    bool
}

// askEvery is how long a session may outlive its key when that could not be held any
// more: it was narrowed or could not be checked, and has not come again since.
const askEvery = time.Second

// open notes a session that c has just initialized. One without an id ends with its
// request.
func (l *sessions) open(server *mcp.ServerSession, c caller) {
	id := server.ID()
	if id == "" {
		return
	}
	s := &session{server: server, keyID: c.identity.KeyID(), last: c}
	s.mu.Lock()
	s.hold() // before anybody can see it
	s.mu.Unlock()
	l.mu.Lock()
	_, known := l.byID[id]
	if !known {
		if l.byID == nil {
			l.byID = map[string]*session{}
		}
		l.byID[id] = s
	}
	l.mu.Unlock()
	if known {
		s.close()
		return
	}
	end := func() { closeSession(server, c) }
	if !c.visit.opened(id, end) {
		go end()
	}
	go func() {
		_ = server.Wait()
		l.mu.Lock()
		delete(l.byID, id)
		l.mu.Unlock()
		c.by.slots.closed(id)
		s.close()
	}()
}

func (l *sessions) get(id string) *session {
	if id == "" {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id]
}

// seen notes that c came with a session's id, which the SDK checks later and refuses to
// other keys.
func (l *sessions) seen(id string, c caller) {
	s := l.get(id)
	if s == nil || s.keyID != c.identity.KeyID() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = c
	if !s.held && !s.over {
		s.release()
		s.hold()
	}
}

// hold begins to watch. It is called with s.mu held.
func (s *session) hold() {
	held, release := s.last.by.guard.Hold(s.last.admitted)
	stop := context.AfterFunc(held, s.ended)
	s.held, s.release = true, func() {
		stop()
		release()
	}
}

// ask has the session asked for again in a while. It is called with s.mu held.
func (s *session) ask() {
	again := time.AfterFunc(askEvery, s.ended)
	s.held, s.release = false, func() { again.Stop() }
}

// ended closes the session if its key is dead. A key that was only narrowed may go on
// in it, and one that nobody can check now may come back: what was admitted last cannot
// be held any more then, but the key can still die.
func (s *session) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.release()
	var ended *middleware.EndedError
	err := s.last.by.guard.Recheck(s.last.admitted)
	switch {
	case err == nil: // the last request was made with another secret, or scopes, than what was held
		s.hold()
	case errors.As(err, &ended) && (ended.Code == keys.CodeInsufficientScope || ended.Code == keys.CodeUnavailable):
		s.ask()
	default:
		s.over = true
		go closeSession(s.server, s.last)
	}
}

// closeSession waits for what runs in the session. An EventStore is told, which may be anybody's
// code, and nobody is around to recover what it panics with.
func closeSession(server *mcp.ServerSession, last caller) {
	defer func() { last.logPanic(recover()) }()
	_ = server.Close()
}

func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.release()
}

// tell makes the sending middleware: a session that subscribed to a resource is not
// told of it when its key was granted it no more.
func (l *sessions) tell(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		if updated, ok := req.GetParams().(*mcp.ResourceUpdatedNotificationParams); ok && !l.mayHear(req, updated.URI) {
			return nil, nil
		}
		return next(ctx, method, req)
	}
}

func (l *sessions) mayHear(req mcp.Request, uri string) bool {
	s := l.get(req.GetSession().ID())
	if s == nil {
		return true // not ours, or a subscription that ends with its request
	}
	s.mu.Lock()
	c := s.last
	s.mu.Unlock()
	return c.identity.Allows(keys.ResourceScope(uri)) && c.by.guard.Recheck(c.admitted) == nil
}
