package mcphttp

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpjson"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// promised notes of which lists a session's client is told, by the capabilities of next.
func (s *sink) promised(result mcpjson.Object) {
	capabilities, err := result.Get("capabilities").Object()
	if err != nil || s.x.session == nil {
		return
	}
	has := func(list string) bool {
		about, err := capabilities.Get(list).Object("listChanged")
		return err == nil && about.Get("listChanged").Kind() == 't'
	}
	s.x.session.mu.Lock()
	defer s.x.session.mu.Unlock()
	s.x.session.promised = mcpfront.Lists{Tools: has("tools"), Prompts: has("prompts"), Resources: has("resources")}
}

// listen tells the client of a session on its own stream of changed lists. Only one stream is
// told.
func (s *sink) listen() {
	own := s.x.session
	if s.x.r.Method != http.MethodGet || own == nil {
		return
	}
	own.mu.Lock()
	wants, first := own.promised, !own.listening
	own.listening = true
	own.mu.Unlock()
	if !first {
		return
	}
	s.tell(wants, own.watch.Last, nil, func() {
		own.mu.Lock()
		defer own.mu.Unlock()
		own.listening = false
	})
}

// acknowledged begins to tell a subscription without a session, in which next has just said
// what it will tell.
func (s *sink) acknowledged(m *message) {
	agreed, err := m.params.Get("notifications").Object(listening...)
	if err != nil || s.listener != nil || len(s.calls) != 1 || s.calls[0].message.method != mcppolicy.Listen {
		return
	}
	has := func(list string) bool { return agreed.Get(list).Kind() == 't' }
	wants := mcpfront.Lists{Tools: has("toolsListChanged"), Prompts: has("promptsListChanged"), Resources: has("resourcesListChanged")}
	s.tell(wants, func() context.Context { return s.x.admitted }, m.meta.Get(metaSubscription).Raw(), nil)
}

// tell sends the client list_changed when an edit of its key changes what lists show. It names
// the subscription, if there is one.
func (s *sink) tell(wants mcpfront.Lists, speaks func() context.Context, subscription []byte, over func()) {
	var params string
	if len(subscription) > 0 {
		params = fmt.Sprintf(`,"params":{"_meta":{%q:%s}}`, metaSubscription, subscription)
	}
	s.overs = over
	s.listener = &mcpfront.Listener{
		Guard: s.x.h.guard, Speaks: speaks, Wants: wants,
		Notify: func(list string) {
			s.notify(eventOf(fmt.Appendf(nil, `{"jsonrpc":"2.0","method":"notifications/%s/list_changed"%s}`, list, params)))
		},
		Failed: func(recovered any) {
			if recovered != nil {
				s.x.h.guard.LogRefusal(s.x.admitted, "panicked", nil, slog.String("panic", fmt.Sprint(recovered)))
			}
		},
	}
	s.listener.Begin()
}

// notify sends an event of this side between those of next.
func (s *sink) notify(event []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended || !s.began:
	case s.long != nil || s.tail:
		s.waiting = append(s.waiting, event)
	default:
		_ = s.send(event)
	}
}
