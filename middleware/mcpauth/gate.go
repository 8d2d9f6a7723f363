package mcpauth

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// gate is the only way to send to one caller. It checks every piece of an answer. After the key
// has ended it lets only one thing pass: an answer to a call, replaced by an error that says
// so, because a client waits for it.
type gate struct {
	http.ResponseWriter
	of      *caller
	req     *http.Request           // before it was held
	alone   bool                    // the request holds one message
	session bool                    // it is of a session, where its stream may be resumed
	linger  bool                    // whether calls may be waiting for an answer
	let     context.CancelCauseFunc // releases the SDK
	began   atomic.Bool             // something was sent
	stream  atomic.Bool             // it is a stream of events

	mu    sync.Mutex
	ended error
	timer *time.Timer
	over  bool // the request was answered
	held  held
}

// lingerFor is how long the SDK may keep a stream whose key has ended, in which only the errors
// for its calls pass. It is released as soon as those are written, which takes a moment; the
// full time passes only if outer middleware delays an answer.
const lingerFor = 5 * time.Second

// soleMessage is the first protocol version without batches.
const soleMessage = "2025-06-18"

// open makes g the gate to w.
func (g *gate) open(w http.ResponseWriter, r *http.Request, c *caller) {
	resumed := r.Header.Get("Last-Event-Id")
	g.ResponseWriter, g.of, g.req = w, c, r
	g.alone, g.session = r.Header.Get("Mcp-Protocol-Version") >= soleMessage, r.Header.Get(mcpfront.HeaderSession) != ""
	// A resumed stream may be that of a call, unless it is the session's own.
	g.linger = r.Method == http.MethodPost || resumed != "" && !strings.HasPrefix(resumed, "_")
}

// needs is what must still be granted for anything to pass: what the only message needs, if it
// has come. With several messages, each checks for itself.
func (g *gate) needs() mcppolicy.Needs {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held.last != nil {
		return g.held.last.takes
	}
	return mcppolicy.Needs{}
}

// check checks the key now.
func (g *gate) check() error { return g.needs().Check(g.of.admitted, g.of.by.guard) }

// pass checks the key again. The SDK writes one event at a time.
func (g *gate) pass() error {
	if err := g.why(); err != nil {
		return err
	}
	if err := g.check(); err != nil {
		g.end(err)
		return err
	}
	g.begin()
	return nil
}

// begin notes that something is sent, and in which form: the SDK may set another form later,
// when it no longer matters.
func (g *gate) begin() {
	if !g.began.Load() {
		g.stream.Store(strings.HasPrefix(g.Header().Get("Content-Type"), "text/event-stream"))
		g.began.Store(true)
	}
}

// end closes the gate. The SDK is released when the calls have been answered.
func (g *gate) end(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended != nil {
		return
	}
	g.ended = err
	if g.over {
		return
	}
	if !g.linger {
		g.let(err)
		return
	}
	g.timer = time.AfterFunc(lingerFor, func() { g.let(err) })
}

// why is the reason why the gate is closed, or nil.
func (g *gate) why() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ended
}

func (g *gate) WriteHeader(status int) {
	if g.pass() == nil {
		if status >= http.StatusBadRequest {
			middleware.HurryBody(g.ResponseWriter, g.req) // the SDK may refuse without reading the body
		}
		g.ResponseWriter.WriteHeader(status)
	}
}

func (g *gate) Write(p []byte) (int, error) {
	err := g.pass()
	if err == nil {
		return g.ResponseWriter.Write(p)
	}
	answers := endMessages(messages(p), mcppolicy.Ending(err, g.needs(), requestid.From(g.of.admitted)))
	if answers == nil {
		return 0, err
	}
	if !g.began.Load() {
		g.Header().Del(mcpfront.HeaderSession) // of a session that is closed
	}
	if g.begin(); g.stream.Load() {
		answers = fmt.Appendf(nil, "event: message\ndata: %s\n\n", answers)
	}
	if _, err := g.ResponseWriter.Write(answers); err != nil {
		return 0, err
	}
	return len(p), nil
}

// FlushError is what the SDK flushes events with. Flushing begins an answer.
func (g *gate) FlushError() error {
	if !g.began.Load() {
		return nil
	}
	return http.NewResponseController(g.ResponseWriter).Flush()
}

// finish answers a caller that got no answer because the key ended. A stream that has already
// begun gets no further answer; it ends.
func (g *gate) finish() {
	g.mu.Lock()
	g.over = true
	if g.timer != nil {
		g.timer.Stop()
	}
	g.mu.Unlock()
	if g.began.Load() || g.req.Context().Err() != nil {
		return // its client is gone
	}
	err := g.why()
	if now := g.check(); now != nil {
		err = now
	}
	if err == nil {
		return
	}
	for _, name := range []string{"Connection", mcpfront.HeaderSession} {
		g.Header().Del(name) // of the answer that was dropped
	}
	g.of.by.guard.RefuseEnded(g.ResponseWriter, g.req, err)
}
