package mcphttp

import (
	"net/http"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// endWithin is how long a client that reads slowly may delay the end of its stream.
const endWithin = 5 * time.Second

// End implements [middleware.Held]: the key no longer grants the call. The others continue.
func (c *call) End(err error) {
	s := c.sink
	s.haste.begin()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.haste.end()
	if !s.ended && !c.done {
		s.finishCall(c, err)
		if len(s.open()) == 0 {
			s.close(err)
		}
	}
}

// End implements [middleware.Held]: it ends a request and all calls that it has.
func (s *sink) End(err error) {
	s.haste.begin()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.haste.end()
	s.endNow(err)
}

// haste makes a write fail that hangs, while something ends the answer. That may come when the
// request has just been answered: then it must not touch the writer, which over HTTP/2 no longer
// exists, and whose connection otherwise serves the next request.
type haste struct {
	w http.ResponseWriter

	mu   sync.Mutex
	ends int  // that have begun
	over bool // the request is answered
}

// begin comes before the lock of the answer is taken, which a write may hold.
func (h *haste) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ends++
	h.deadline(time.Now().Add(endWithin)) //nolint:forbidigo // of the network, not of a key
}

func (h *haste) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ends--; h.ends == 0 {
		h.deadline(time.Time{})
	}
}

// leave comes before the handler returns.
func (h *haste) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ends > 0 {
		h.deadline(time.Time{})
	}
	h.over = true
}

// deadline is called with h.mu held.
func (h *haste) deadline(at time.Time) {
	if !h.over {
		_ = http.NewResponseController(h.w).SetWriteDeadline(at) // a writer in a test has none
	}
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
