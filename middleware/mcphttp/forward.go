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
	if x.over(mcppolicy.Needs{}) {
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
	r := x.r.WithContext(ctx)
	r.Header = x.r.Header.Clone()
	r.Trailer = nil
	setBody(r, body)
	defer s.hold()()
	done := make(chan error, 1)
	go func() {
		err := x.h.call(s, r)
		if err != nil && s.closed() {
			x.panicked(err) // the goroutine of the request no longer waits
		}
		done <- err
	}()
	var err error
	select {
	case err = <-done:
		x.panicked(err)
	case <-s.over: // next may ignore the end of its context
	case <-x.r.Context().Done():
	}
	s.finish(err)
	if s.torn {
		panic(http.ErrAbortHandler) // the client must not take what it has for the whole
	}
}

// panicked logs a panic of next, which becomes a fault of its answer: next may be a copy of a
// server that this process must outlast.
func (x *exchange) panicked(err error) {
	if err != nil && !errors.Is(err, http.ErrAbortHandler) {
		x.h.guard.LogRefusal(x.admitted, "panicked", err, slog.String("path", x.r.URL.Path))
	}
}

// hold watches the key, and the Endpoint, for as long as next answers.
func (s *sink) hold() (release func()) {
	var releases []func()
	watch := func(n mcppolicy.Needs, ended func(error)) {
		held, release := n.Hold(s.x.admitted, s.x.h.guard)
		stop := context.AfterFunc(held, func() { ended(context.Cause(held)) })
		releases = append(releases, func() {
			stop()
			release()
		})
	}
	for _, c := range s.calls {
		watch(c.needs, func(err error) { s.endCall(c, err) })
	}
	if len(s.calls) == 0 {
		watch(mcppolicy.Needs{}, s.endAll)
	}
	over := s.x.h.life.over
	stop := context.AfterFunc(over, func() { s.endAll(context.Cause(over)) })
	return func() {
		stop()
		for _, release := range releases {
			release()
		}
	}
}
