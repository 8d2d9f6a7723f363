package mcpauth

import (
	"context"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
)

// sessions are the sessions of one handler, by id. The SDK keeps a session when its key ends,
// and collects what the server sends.
type sessions struct {
	send mcp.MethodHandler // skips our own middleware

	mu      sync.Mutex
	byID    map[string]*session
	without map[*mcp.ServerSession]*caller // subscriptions without a session
}

// session belongs to one key. The key's last request decides what the client is told: only what
// the key was granted then.
type session struct {
	server  *mcp.ServerSession
	keyID   string
	changes *mcpfront.Listener
	watch   *mcpfront.Watch

	mu   sync.Mutex
	last *caller
}

// open notes a session that c has just initialized. Its client was promised notifications of
// changed lists. One without an id ends with its request.
func (l *sessions) open(server *mcp.ServerSession, c *caller, promised mcpfront.Lists) {
	id := server.ID()
	if id == "" {
		return
	}
	s := &session{server: server, keyID: c.identity.KeyID(), last: c}
	s.changes = listener(server, s.caller, promised, nil, l.send)
	s.watch = mcpfront.NewWatch(c.admitted, c.by.guard, func() { closeSession(server, s.caller()) })
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
	if !c.visit.Opened(id, end) {
		go end()
	}
	s.changes.Begin()
	go func() {
		_ = server.Wait()
		l.mu.Lock()
		delete(l.byID, id)
		l.mu.Unlock()
		c.by.slots.Closed(id)
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
// keys. It returns the session, if there is one. The session stays open until Served of its watch
// is called.
func (l *sessions) seen(id string, c *caller) *session {
	s := l.get(id)
	if s == nil || s.keyID != c.identity.KeyID() {
		return nil
	}
	s.mu.Lock()
	s.last = c
	s.mu.Unlock()
	s.watch.Seen(c.admitted)
	return s
}

// caller is the caller of the last request.
func (s *session) caller() *caller {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// closeSession waits for what runs in the session. It calls the EventStore, which is foreign
// code, and no outer code could recover its panic.
func closeSession(server *mcp.ServerSession, last *caller) {
	defer func() { last.logPanic(recover()) }()
	_ = server.Close()
}

func (s *session) close() {
	s.changes.End()
	s.watch.Close()
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
	wants := mcpfront.Lists{Tools: agreed.ToolsListChanged, Prompts: agreed.PromptsListChanged, Resources: agreed.ResourcesListChanged}
	changes := listener(server, func() *caller { return call.caller }, wants, params.Meta[mcp.MetaKeySubscriptionID], l.send)
	l.mu.Lock()
	if l.without == nil {
		l.without = map[*mcp.ServerSession]*caller{}
	}
	l.without[server] = call.caller
	l.mu.Unlock()
	changes.Begin()
	call.then(func() {
		changes.End()
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
func (l *sessions) listening(session mcp.Session) (*caller, bool) {
	if s := l.get(session.ID()); s != nil {
		return s.caller(), true
	}
	server, _ := session.(*mcp.ServerSession)
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.without[server]
	return c, ok
}
