package mcphttp

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// beside is what next sends a client while it answers a list of it, such as a question that it
// asks before it answers. It passes as events before the list, which then is the last event. If
// next sends nothing, the answer is not a stream.
type beside struct {
	x     *exchange
	needs mcppolicy.Needs
	takes bool   // the client reads events
	asked func() // called when the client is asked something: its answer may take any time
	stop  func() bool

	mu    sync.Mutex // held while something is sent
	first bool       // next answers the first page
	began bool       // the answer is a stream
	over  bool       // nothing more is sent

	hurrying sync.Mutex
	hurried  bool
	relaxed  bool // or the request is answered
}

// beside begins with the list whose context is ctx. Call finish in the end.
func (x *exchange) beside(ctx context.Context, needs mcppolicy.Needs, asked func()) *beside {
	b := &beside{x: x, needs: needs, asked: asked, first: true, takes: !x.batch && takesEvents(x.r.Header)}
	b.stop = context.AfterFunc(ctx, b.hurry)
	return b
}

// takesEvents reports whether a client reads a stream as the answer to its POST.
func takesEvents(h http.Header) bool {
	for _, value := range h["Accept"] {
		for part := range strings.SplitSeq(value, ",") {
			kind, _, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case typeEvents, "text/*", "*/*":
				return true
			}
		}
	}
	return false
}

// page notes that next is asked for a further page: its progress begins again, and that of a
// client must not go back.
func (b *beside) page() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.first = false
}

// pass sends what may be sent of a message that is not the answer.
func (b *beside) pass(m *message, own string) {
	raw, err := b.x.passed(m)
	if err != nil || raw == nil || !b.takes {
		return
	}
	if key, err := idKey(m.params.Get("requestId")); err == nil && key == own {
		return // the client does not know that id
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over || !b.first && m.method == "notifications/progress" || b.needs.Check(b.x.admitted, b.x.h.guard) != nil {
		return
	}
	b.begin()
	if m.isRequest() {
		b.asked()
	}
	_ = b.write(raw) // the client may be gone
}

func (b *beside) begin() {
	if b.began {
		return
	}
	b.began = true
	h := b.x.w.Header()
	h.Set("Content-Type", typeEvents)
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	b.x.w.WriteHeader(http.StatusOK)
}

func (b *beside) write(raw []byte) error {
	if _, err := b.x.w.Write(eventOf(raw)); err != nil {
		return err
	}
	return http.NewResponseController(b.x.w).Flush()
}

// finish sends the list if the answer is a stream, and reports whether it is.
func (b *beside) finish(raw []byte, hurry bool) (sent bool) {
	b.stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	if !b.began {
		b.leave()
		return false
	}
	within := listWithin
	if hurry {
		within = endWithin
	}
	b.relax(within)
	if b.write(raw) == nil {
		b.relax(0)
	}
	return true
}

// hurry makes a write fail that hangs, when the list is over.
func (b *beside) hurry() {
	b.hurrying.Lock()
	defer b.hurrying.Unlock()
	if !b.relaxed {
		b.hurried = true
		b.deadline(endWithin)
	}
}

// leave relaxes what was hurried, and nothing hurries from now on: the writer may be gone, or serve
// another request.
func (b *beside) leave() {
	b.hurrying.Lock()
	defer b.hurrying.Unlock()
	b.relaxed = true
	if b.hurried {
		b.deadline(0)
	}
}

// relax bounds what is written from now on; zero lets the connection serve further requests.
func (b *beside) relax(within time.Duration) {
	b.hurrying.Lock()
	defer b.hurrying.Unlock()
	b.relaxed = true
	b.deadline(within)
}

func (b *beside) deadline(within time.Duration) {
	at := time.Time{}
	if within > 0 {
		at = time.Now().Add(within) //nolint:forbidigo // of the network, not of a key
	}
	_ = http.NewResponseController(b.x.w).SetWriteDeadline(at)
}
