package mcpauth

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// sessions are the sessions of one handler, by id. The SDK keeps a session when its key ends,
// and collects what the server sends.
type sessions struct {
	send mcp.MethodHandler // skips our own middleware

	mu      sync.Mutex
	byID    map[string]*session
	without map[*mcp.ServerSession]*listener // subscriptions without a session
}

// session belongs to one key. The key's last request decides what the client is told: a
// session that was opened with a rotated secret continues with the new one, and is told only
// what the key was granted at its last request.
type session struct {
	server  *mcp.ServerSession
	keyID   string
	changes *listener

	mu      sync.Mutex
	last    caller
	serving int    // running requests
	idle    func() // called when there is none
	held    bool   // whether last is held; otherwise the key is checked every askEvery
	release func() // ends the hold or the timer
	over    bool
}

// askEvery is how often a session's key is checked while the key cannot be held. The session
// may outlive its key by this time.
const askEvery = time.Second

// open notes a session that c has just initialized. Its client was promised notifications of
// changed lists. One without an id ends with its request.
func (l *sessions) open(server *mcp.ServerSession, c caller, promised lists) {
	id := server.ID()
	if id == "" {
		return
	}
	s := &session{server: server, keyID: c.identity.KeyID(), last: c}
	s.changes = &listener{session: server, speaks: s.caller, wants: promised, send: l.send}
	s.mu.Lock()
	s.hold() // before other goroutines can see it
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
	s.changes.begin()
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

// seen notes that c came with a session's id, which the SDK checks later and refuses to other
// keys. The session stays open until done is called after the answer.
func (l *sessions) seen(id string, c caller) (done func()) {
	s := l.get(id)
	if s == nil || s.keyID != c.identity.KeyID() {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = c
	s.serving++
	if !s.held && !s.over {
		s.release()
		s.hold()
	}
	return s.served
}

// served notes that a request was answered.
func (s *session) served() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving--
	if s.serving == 0 && s.idle != nil {
		go s.idle()
		s.idle = nil
	}
}

// caller is the caller of the last request.
func (s *session) caller() caller {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// hold begins to watch the key. It is called with s.mu held.
func (s *session) hold() {
	held, release := s.last.by.guard.HoldFor(s.last.admitted)
	stop := context.AfterFunc(held, s.ended)
	s.held, s.release = true, func() {
		stop()
		release()
	}
}

// ask checks the session again later. It is called with s.mu held.
func (s *session) ask() {
	again := time.AfterFunc(askEvery, s.ended)
	s.held, s.release = false, func() { again.Stop() }
}

// ended closes the session if its key has ended. A key that cannot be checked now may be valid
// again: the last request can then no longer be held, but the key can still end.
func (s *session) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.release()
	var ended *middleware.EndedError
	_, err := s.last.by.guard.RecheckFor(s.last.admitted)
	switch {
	case err == nil: // the last request was made with another secret than the held one
		s.hold()
	case errors.As(err, &ended) && ended.Code == keys.CodeUnavailable:
		s.ask()
	default:
		s.over = true
		last := s.last
		s.whenIdle(func() { closeSession(s.server, last) })
	}
}

// whenIdle calls f when no request is running: in a closed session the SDK writes nothing more,
// and the calls in it must still get their error. It is called with s.mu held.
func (s *session) whenIdle(f func()) {
	var once sync.Once
	s.idle = func() { once.Do(f) }
	if s.serving == 0 {
		go s.idle()
		s.idle = nil
	}
}

// closeSession waits for what runs in the session. It calls the EventStore, which is foreign
// code, and no outer code could recover its panic.
func closeSession(server *mcp.ServerSession, last caller) {
	defer func() { last.logPanic(recover()) }()
	_ = server.Close()
}

func (s *session) close() {
	s.changes.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.release()
}

// tell returns the sending middleware: a call that ended sends nothing more, and changes of a
// resource are not sent to a subscriber whose key no longer grants that resource.
func (l *sessions) tell(next mcp.MethodHandler) mcp.MethodHandler {
	l.send = next
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		call := runningFrom(ctx)
		if call != nil {
			if err := call.maySpeak(); err != nil {
				return nil, err
			}
		}
		switch params := req.GetParams().(type) {
		case *mcp.ResourceUpdatedNotificationParams:
			if !l.mayHear(req, params.URI) {
				return nil, nil
			}
		case *mcp.SubscriptionsAcknowledgedParams:
			res, err := next(ctx, method, req)
			if err == nil && call != nil {
				l.subscribed(call, req, params)
			}
			return res, err
		}
		return next(ctx, method, req)
	}
}

// subscribed begins to tell a subscription, which was just acknowledged with params, of changed
// lists. It ends with the call that holds it open.
func (l *sessions) subscribed(call *running, req mcp.Request, params *mcp.SubscriptionsAcknowledgedParams) {
	server, ok := req.GetSession().(*mcp.ServerSession)
	if !ok {
		return
	}
	agreed := params.Notifications
	changes := &listener{
		session: server, send: l.send, subscription: params.Meta[mcp.MetaKeySubscriptionID],
		speaks: func() caller { return call.caller },
		wants:  lists{agreed.ToolsListChanged, agreed.PromptsListChanged, agreed.ResourcesListChanged},
	}
	l.mu.Lock()
	if l.without == nil {
		l.without = map[*mcp.ServerSession]*listener{}
	}
	l.without[server] = changes
	l.mu.Unlock()
	changes.begin()
	call.then(func() {
		changes.end()
		l.mu.Lock()
		delete(l.without, server)
		l.mu.Unlock()
	})
}

// mayHear reports whether the key of the listener is valid and granted the resource now.
func (l *sessions) mayHear(req mcp.Request, uri string) bool {
	c, ok := l.listening(req.GetSession())
	if !ok {
		return true // not a session of this handler
	}
	now, err := c.by.guard.RecheckFor(c.admitted)
	return err == nil && now.Allows(mcpscope.Resource(uri))
}

// listening returns the caller of the session.
func (l *sessions) listening(session mcp.Session) (caller, bool) {
	if s := l.get(session.ID()); s != nil {
		return s.caller(), true
	}
	server, _ := session.(*mcp.ServerSession)
	l.mu.Lock()
	defer l.mu.Unlock()
	if changes := l.without[server]; changes != nil {
		return changes.speaks(), true
	}
	return caller{}, false
}
