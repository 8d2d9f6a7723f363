package mcphttp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpjson"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// pass gives the request to next, with the body if it has one, and passes its answer on for as
// long as the key allows. calls are the requests in the body; own are answers of this handler
// that belong to it.
func (x *exchange) pass(body []byte, calls []verdict, own [][]byte) {
	if len(calls) == 0 && x.over(mcppolicy.Needs{}) {
		return
	}
	for _, v := range calls { // a batch may have waited for a list
		if x.over(v.needs) {
			return
		}
	}
	if err := x.h.life.begin(); err != nil {
		x.refuseEnded(err)
		return
	}
	defer x.h.life.running.Done()
	if x.session != nil {
		if !x.session.open(calls) {
			x.malformed(mcppolicy.CodeInvalidRequest, "its id is that of a request that still runs", mcpjson.Value{})
			return
		}
		defer x.session.answered(calls)
		for _, v := range calls {
			x.session.remember(v)
		}
	}
	ctx, cancel := context.WithCancelCause(x.r.Context())
	defer cancel(nil)
	s := newSink(x, calls, own, cancel)
	s.request = *x.r.WithContext(ctx)
	r := &s.request
	r.Header = x.r.Header.Clone()
	r.Trailer = nil
	setBody(r, body)
	s.hold()
	defer s.letGo()
	go s.serve()
	select {
	case <-s.over: // next may ignore the end of its context
	case <-x.r.Context().Done():
	}
	s.finish()
	if s.torn {
		panic(http.ErrAbortHandler) // the client must not take what it has for the whole
	}
}

// serve has next answer.
func (s *sink) serve() {
	if !s.mayBegin() {
		return
	}
	err := s.x.h.call(s, &s.request)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left { // the goroutine of the request does not wait for this
		s.x.panicked(err)
		return
	}
	s.err = err
	s.leave()
}

// mayBegin checks the key once more, because this goroutine may get the processor late. If the key has
// ended, so has the answer.
func (s *sink) mayBegin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.permits()
}

// panicked logs a panic of next, which becomes a fault of its answer: next may be a copy of a
// server that this process must outlast.
func (x *exchange) panicked(err error) {
	if err != nil && !errors.Is(err, http.ErrAbortHandler) {
		x.h.guard.LogRefusal(x.admitted, "panicked", err, slog.String("path", x.r.URL.Path))
	}
}

// hold watches the key, and the Endpoint, for as long as next answers. It ends with letGo.
func (s *sink) hold() {
	for i := range s.calls {
		s.calls[i].release = s.x.h.guard.Watch(s.x.admitted, &s.calls[i])
	}
	if len(s.calls) == 0 {
		s.release = s.x.h.guard.Watch(s.x.admitted, s)
	}
	s.x.h.life.add(s)
}

func (s *sink) letGo() {
	s.x.h.life.remove(s)
	for i := range s.calls {
		s.calls[i].release()
	}
	if s.release != nil {
		s.release()
	}
	s.haste.leave()
}
