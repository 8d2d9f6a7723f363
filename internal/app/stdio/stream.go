package stdio

// A call is a request that the child has not answered.
type call struct {
	stream     *stream
	id         []byte // as the client wrote it
	childID    []byte
	token      []byte // as the client wrote it, or nil
	childToken []byte
	method     string
}

// A stream is what a client reads: the answer to a POST, or a GET.
type stream struct {
	queue *queue
	gone  chan struct{} // closed when the client reads no longer
	calls []*call
	left  int  // answers to come
	more  bool // it takes more than answers
}

func newStream(more bool) *stream {
	return &stream{queue: newQueue(streamQueue), gone: make(chan struct{}), more: more}
}

// leave forgets a stream. The child is told to cancel what it has not answered.
func (s *session) leave(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(st.gone)
	s.close(st)
	if s.get == st {
		s.get = nil
	}
	for _, c := range st.calls {
		key, _ := idKey(c.childID)
		if s.calls[key] != c {
			continue
		}
		s.drop(c)
		if c.method != "initialize" && s.child != nil {
			s.child.tell([]byte(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` +
				string(c.childID) + `,"reason":"the client closed the connection"}}`))
		}
	}
}

// close takes st out of the streams that are open for more than their answers. What waits goes to
// the last one that is.
func (s *session) close(st *stream) {
	delete(s.posts, st)
	for rest := range s.posts {
		s.flush(rest)
	}
}

// flush moves what waits for a stream to st, if it may take it.
func (s *session) flush(st *stream) {
	if s.get != st && (s.get != nil || len(s.posts) != 1) {
		return
	}
	for {
		i, ok, _, _ := s.pending.take()
		if !ok {
			return
		}
		st.queue.force(i)
	}
}

// listen makes st the stream of a GET; a session has at most one.
func (s *session) listen(st *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.get != nil || s.ending {
		return false
	}
	s.get = st
	s.flush(st)
	return true
}
