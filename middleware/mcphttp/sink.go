package mcphttp

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// maxHeld is how much of one message is held to be judged. A longer one is passed on while it
// arrives, see long.
const maxHeld = 1 << 20

// call is a request that next has.
type call struct {
	sink    *sink
	message *message
	needs   mcppolicy.Needs
	done    bool   // answered
	release func() // ends its hold
}

// Enough implements [middleware.Held].
func (c *call) Enough(before, now *keys.Identity) bool { return c.needs.MetBy(before, now) }

// form is how next answers.
type form int

const (
	undecided form = iota
	asEvents       // a stream of events
	asJSON         // one text
	asStatus       // the body does not matter
)

// sink is where next answers one request: the only way from it to the client. It checks the
// key before every write.
type sink struct {
	x       *exchange
	request http.Request            // that next gets
	cancel  context.CancelCauseFunc // ends it
	over    chan struct{}           // closed when the request can end
	header  http.Header             // that next sets
	release func()                  // ends the hold of a request without calls
	haste   haste                   // of what ends it

	mu        sync.Mutex
	got       http.Header // those with which it began
	left      bool        // over is closed
	err       error       // how next ended, if it has
	bound     bool        // a session was opened
	calls     []call
	own       [][]byte // answers that were not sent yet
	answering []*call  // whose answers are what is sent next
	form      form
	status    int // that next gave
	began     bool
	ended     bool // nothing more is sent
	torn      bool // the answer stops in the middle of a message
	fault     error
	events    events
	body      []byte
	long      *long
	half      bool     // a carriage return of the long message's line has come, without its line feed
	whole     bool     // the message cannot pass while it arrives
	tail      bool     // the rest of an event after its long message
	waiting   [][]byte // notifications, while a long message is sent
	listener  *mcpfront.Listener
	overs     func() // called when the listener is over
}

func newSink(x *exchange, calls []verdict, own [][]byte, cancel context.CancelCauseFunc) *sink {
	s := &sink{x: x, cancel: cancel, over: make(chan struct{}), header: http.Header{}, own: own}
	s.events.max, s.haste.w = maxHeld, x.w
	s.calls = make([]call, len(calls))
	for i, v := range calls {
		s.calls[i] = call{sink: s, message: v.message, needs: v.needs}
	}
	return s
}

// Enough implements [middleware.Held]: it needs only a valid key.
func (s *sink) Enough(_, _ *keys.Identity) bool { return true }

// Header implements [http.ResponseWriter].
func (s *sink) Header() http.Header { return s.header }

// WriteHeader implements [http.ResponseWriter].
func (s *sink) WriteHeader(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head(status)
}

// FlushError is what a proxy flushes with. Everything is flushed when it is written.
func (s *sink) FlushError() error { return nil }

// Write implements [http.ResponseWriter].
func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head(http.StatusOK)
	if s.ended || s.fault != nil {
		return 0, errUpstream
	}
	var err error
	switch s.form {
	case asEvents:
		err = s.feedEvents(p)
	case asJSON:
		err = s.feedJSON(p)
	}
	if err != nil {
		s.fail(err)
		return 0, err
	}
	return len(p), nil
}

// open are the calls without an answer.
func (s *sink) open() (open []*call) {
	for i := range s.calls {
		c := &s.calls[i]
		if !c.done && !slices.Contains(s.answering, c) {
			open = append(open, c)
		}
	}
	return open
}

// send writes to the client, after it has checked the key.
func (s *sink) send(p []byte) error {
	if !s.permits() {
		return errUpstream
	}
	s.settle()
	return s.write(p)
}

// settle notes that the answers that are sent next are sent.
func (s *sink) settle() {
	for _, c := range s.answering {
		c.done = true
	}
	s.answering = nil
}

// permits checks the key. If it has ended, so has the answer.
func (s *sink) permits() bool {
	if s.ended {
		return false
	}
	if err := s.needs().Check(s.x.admitted, s.x.h.guard); err != nil {
		s.answering = nil // they get another answer
		s.endNow(err)
		return false
	}
	return true
}

func (s *sink) write(p []byte) error {
	_, err := s.x.w.Write(p)
	s.flush()
	return err
}

func (s *sink) flush() {
	_ = http.NewResponseController(s.x.w).Flush() // a writer that cannot flush sends later
}

// needs is what must still be granted for anything to pass. With several calls, each answer is
// checked for its own.
func (s *sink) needs() mcppolicy.Needs {
	if len(s.calls) == 1 && !s.x.batch {
		return s.calls[0].needs
	}
	return mcppolicy.Needs{}
}

// fail ends the answer because of a fault of next. Its calls get an error.
func (s *sink) fail(err error) {
	if s.ended || s.fault != nil {
		return
	}
	s.fault, s.answering = err, nil
	if errors.Is(err, errUpstream) {
		method := s.x.r.Method
		if len(s.calls) > 0 {
			method = s.calls[0].message.method
		}
		s.x.log(err, method)
	}
	s.cancel(err)
	s.leave()
}

// leave lets the request end, also if next does not.
func (s *sink) leave() {
	if !s.left {
		s.left = true
		close(s.over)
	}
}
