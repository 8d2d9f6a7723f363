package stdio

import (
	"bytes"
	"log/slog"
)

const (
	methodDiscover   = "server/discover"
	methodInitialize = "initialize"

	codeMethodNotFound = -32601
	codeInvalidParams  = -32602
	codeInternal       = -32603
	codeInvalidRequest = -32600
	codeParse          = -32700
	codeHeader         = -32020
	codeCapability     = -32021
	codeVersion        = -32022
)

// line takes a line of the child.
func (s *session) line(text []byte) {
	if len(bytes.TrimSpace(text)) == 0 {
		return
	}
	list, _, err := parseAll(text, false)
	if err != nil {
		s.child.odd("not a JSON-RPC message, skipped", text)
		return
	}
	for _, m := range list {
		switch {
		case m.answer:
			s.answer(m)
		case m.request():
			s.ask(m)
		default:
			s.notify(m)
		}
	}
}

// answer hands the answer to a call to its stream, under the id that the client chose.
func (s *session) answer(m *message) {
	key, _ := idKey(m.bytes(m.id))
	s.mu.Lock()
	c := s.calls[key]
	if c == nil {
		s.mu.Unlock()
		s.child.odd("answer to no open request, dropped", m.text)
		return
	}
	s.drop(c)
	s.answered = true
	c.stream.left--
	if c.stream.left == 0 {
		s.close(c.stream)
	}
	s.mu.Unlock()
	edits := []edit{{m.id, c.id}}
	if own, ok := idKey(m.bytes(m.subscription)); ok && own == key {
		edits = append(edits, edit{m.subscription, c.id})
	}
	s.deliver(c.stream, item{text: m.with(edits...), answer: true, failed: m.failed, code: m.code})
	if c.method == methodInitialize && m.failed {
		go s.end("The MCP server refused to initialize.")
	}
}

// ask hands a request of the child to the client.
func (s *session) ask(m *message) {
	if s.shared() {
		s.child.tell(errorLine(m.bytes(m.id), codeMethodNotFound, "This version of the protocol has no requests to clients."))
		return
	}
	key, _ := idKey(m.bytes(m.id))
	s.mu.Lock()
	full := len(s.asked) >= maxAsked
	if !full {
		s.asked[key] = true
	}
	s.mu.Unlock()
	if !full && s.route(m.text) {
		return
	}
	s.mu.Lock()
	delete(s.asked, key)
	s.mu.Unlock()
	s.child.tell(errorLine(m.bytes(m.id), codeInternal, "The client does not answer: too many messages wait for it."))
}

// notify hands a notification of the child to the stream that it belongs to.
func (s *session) notify(m *message) {
	switch {
	case m.method == "notifications/progress" && !m.progress.none():
		if c := s.find(s.tokens, m.bytes(m.progress)); c != nil && c.stream.more {
			s.deliver(c.stream, item{text: m.with(edit{m.progress, c.token})})
		}
	case s.shared() && !m.subscription.none():
		if c := s.find(s.calls, m.bytes(m.subscription)); c != nil && c.stream.more {
			s.deliver(c.stream, item{text: m.with(edit{m.subscription, c.id})})
		}
	case s.shared() && m.method == "notifications/cancelled" && !m.requestID.none():
		s.cancelledByChild(m)
	default:
		if !s.route(m.text) && !s.shared() {
			s.child.odd("notification dropped: too many messages wait for the client", m.text)
		}
	}
}

// cancelledByChild ends the stream of a call that the child gives up.
func (s *session) cancelledByChild(m *message) {
	c := s.find(s.calls, m.bytes(m.requestID))
	if c == nil {
		return
	}
	if c.stream.more {
		s.deliver(c.stream, item{text: m.with(edit{m.requestID, c.id})})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, _ := idKey(c.childID); s.calls[key] == c {
		s.drop(c)
		c.stream.left--
		c.stream.queue.force(item{answer: true})
	}
}

func (s *session) find(in map[string]*call, raw []byte) *call {
	key, ok := idKey(raw)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return in[key]
}

// deliver hands a message to a stream, and waits for room while its client reads slowly.
func (s *session) deliver(st *stream, i item) bool {
	for {
		ok, again := st.queue.put(i)
		if ok {
			return true
		}
		select {
		case <-again:
		case <-st.gone:
			return false
		case <-s.child.ending:
			return false
		}
	}
}

// route hands a message that belongs to no call to the only open POST, else to the GET, else
// keeps it for the next of them.
func (s *session) route(text []byte) bool {
	for {
		s.mu.Lock()
		st := s.get
		if len(s.posts) == 1 {
			for only := range s.posts {
				st = only
			}
		}
		if st == nil {
			kept := false
			if !s.shared() {
				kept, _ = s.pending.put(item{text: text})
			}
			s.mu.Unlock()
			return kept
		}
		s.mu.Unlock()
		if s.deliver(st, item{text: text}) {
			return true
		}
		select {
		case <-s.child.ending:
			return false
		default:
		}
	}
}

// childGone fails the open calls once the child has ended.
func (s *session) childGone(why string) {
	s.mu.Lock()
	s.ending = true
	if s.shared() {
		why += " Send the request again."
	} else {
		why += " Its session has ended: initialize again."
	}
	for _, c := range s.calls {
		s.drop(c)
		c.stream.queue.force(item{text: errorLine(c.id, codeInternal, why), answer: true, failed: true, code: codeInternal})
	}
	if s.get != nil {
		s.get.queue.close()
	}
	s.pending.close()
	s.mu.Unlock()
	s.b.forget(s)
	close(s.gone)
}

func (s *session) logger() *slog.Logger { return s.b.o.Logger.With(slog.String("key_id", s.keyID)) }
