package mcphttp

import (
	"net/http"
	"strconv"

	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
)

// finish ends the answer when next has.
func (s *sink) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.stop()
	err := s.err
	s.x.panicked(err)
	if s.ended || s.x.r.Context().Err() != nil {
		return
	}
	if s.status == 0 && err == nil {
		s.head(http.StatusOK)
	}
	if err != nil && s.fault == nil && s.form != asEvents {
		s.fail(faultOf("its answer broke off"))
	}
	if s.fault == nil && s.form == asJSON {
		err := s.finishJSON()
		if err != nil && s.status >= http.StatusBadRequest && !s.began { // such as {"error":"Bad Request"}: the status says it
			s.finishStatus()
			return
		}
		if err != nil {
			s.fail(err)
		}
	}
	switch {
	case s.ended:
	case s.fault != nil || s.form == asEvents || s.form == asJSON:
		s.finishCalls()
	default:
		s.finishStatus()
	}
}

// stop makes sure that nothing more is sent.
func (s *sink) stop() {
	if s.long != nil {
		s.torn = true
	}
	if s.listener != nil {
		s.listener.End()
		s.listener = nil
		if s.overs != nil {
			s.overs()
		}
	}
	s.ended = true
	s.leave()
}

// finishCalls gives an error to the calls without an answer. A client that can resume a stream
// gets its answer there.
func (s *sink) finishCalls() {
	if s.long != nil || s.fault == nil && s.form == asEvents && s.events.ids {
		return
	}
	if s.fault != nil && s.bound {
		go s.x.session.end() // its client does not learn its id
	}
	if s.began {
		for _, c := range s.open() {
			s.answering = []*call{c}
			_ = s.send(eventOf(failure(c.message.id, errNoAnswer)))
		}
		return
	}
	answers := s.own
	for _, c := range s.open() {
		answers = append(answers, failure(c.message.id, errNoAnswer))
	}
	if len(answers) > 0 {
		s.replyAll(http.StatusBadGateway, answers)
		return
	}
	s.began = true
	s.x.h.guard.Refuse(s.x.w, s.x.r, badUpstream)
}

var badUpstream = middleware.Problem{
	Status: http.StatusBadGateway, Code: "bad_upstream",
	Detail: "The MCP server behind this guard gave no usable answer. Its operator finds the reason in the log.",
}

// replyAll writes messages of this side as the whole answer.
func (s *sink) replyAll(status int, answers [][]byte) {
	if err := s.needs().Check(s.x.admitted, s.x.h.guard); err != nil {
		s.began = true
		s.x.refuseEnded(err)
		return
	}
	s.began = true
	if s.x.batch {
		s.x.reply(status, array(answers))
		return
	}
	s.x.reply(status, answers[0])
}

// finishStatus answers with the status of next, whose body is not JSON or not needed.
func (s *sink) finishStatus() {
	if err := s.needs().Check(s.x.admitted, s.x.h.guard); err != nil {
		s.began = true
		s.x.refuseEnded(err)
		return
	}
	good := s.status < http.StatusMultipleChoices
	gone := s.x.session != nil && (s.status == http.StatusNotFound || good && s.x.r.Method == http.MethodDelete)
	if gone {
		s.x.session.forget()
	}
	switch {
	case good:
		status := http.StatusAccepted
		if s.x.r.Method == http.MethodDelete {
			status = s.status
		}
		s.begin(status, "", -1)
	case gone:
		s.began = true
		s.x.refuse(mcpfront.UnknownSession)
	case !s.x.passes(s.status) || s.status >= http.StatusInternalServerError:
		s.fail(faultOf("status " + strconv.Itoa(s.status)))
		s.finishCalls()
	default:
		s.finishRefused()
	}
}

// finishRefused passes on that next refused the request: clients decide by the status which
// protocol version they try.
func (s *sink) finishRefused() {
	e := statusRefused(s.status)
	answers := s.own
	for _, c := range s.open() {
		answers = append(answers, failure(c.message.id, e))
	}
	if len(answers) == 0 {
		s.x.batch = false
		answers = [][]byte{failure(message{}.id, e)}
	}
	(&listed{header: s.got}).write(s.x.w.Header())
	s.replyAll(s.status, answers)
}
