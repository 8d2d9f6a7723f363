package mcphttp

import (
	"net/http"
	"time"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// endWithin is how long a client that reads slowly may delay the end of its stream.
const endWithin = 5 * time.Second

// End implements [middleware.Held]: the key no longer grants the call. The others continue.
func (c *call) End(err error) {
	s := c.sink
	relax := s.hurry()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer relax()
	if !s.ended && !c.done {
		s.finishCall(c, err)
		if len(s.open()) == 0 {
			s.close(err)
		}
	}
}

// End implements [middleware.Held]: it ends a request and all calls that it has.
func (s *sink) End(err error) {
	relax := s.hurry()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer relax()
	s.endNow(err)
}

// hurry makes a write fail that hangs. Call relax when the lock is taken.
func (s *sink) hurry() (relax func()) {
	c := http.NewResponseController(s.x.w)
	_ = c.SetWriteDeadline(time.Now().Add(endWithin)) //nolint:forbidigo // of the network, not of a key
	return func() { _ = c.SetWriteDeadline(time.Time{}) }
}

// endNow ends all of it.
func (s *sink) endNow(err error) {
	if s.ended {
		return
	}
	for _, c := range s.open() {
		s.finishCall(c, err)
	}
	s.close(err)
}

// finishCall answers a call that ended. Of what next has sent for it, nothing more passes.
func (s *sink) finishCall(c *call, err error) {
	c.done = true
	raw := failure(c.message.id, mcppolicy.Ending(err, c.needs, s.x.id()))
	if s.began && s.form == asEvents {
		if s.long != nil { // a client drops the event that this ends
			s.long = nil
			_ = s.write([]byte("\n\n"))
		}
		_ = s.write(eventOf(raw))
	} else {
		s.own = append(s.own, raw)
	}
	if s.x.session != nil && !s.x.modern {
		go s.x.cancel(c.message, err)
	}
}

// close ends the answer because the key or the server has ended.
func (s *sink) close(err error) {
	if !s.began {
		s.began = true
		s.x.w.Header().Del(mcpfront.HeaderSession)
		switch {
		case len(s.own) == 0:
			s.x.refuseEnded(err)
		case s.x.batch:
			s.x.reply(http.StatusOK, array(s.own))
		default:
			s.x.reply(http.StatusOK, s.own[0])
		}
	}
	s.cancel(err)
	s.stop()
}
