package mcphttp

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpjson"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// ownWithin is how long a cancellation or a DELETE of this handler may take.
const ownWithin = 10 * time.Second

type answerKey struct{}

// AnswerOnly reports whether a request to the handler behind the guard asks for a page of a list
// whose client reads no events: messages other than the answer do not reach it there.
func AnswerOnly(r *http.Request) bool { return r.Context().Value(answerKey{}) != nil }

// ownRequest makes a request of this handler from one of a client.
func ownRequest(ctx context.Context, template *http.Request, method string, body []byte) *http.Request {
	r := template.Clone(ctx)
	r.Method, r.TransferEncoding, r.Trailer = method, nil, nil
	r.Header.Del("Last-Event-Id")
	r.Header.Del("Content-Length")
	setBody(r, body)
	return r
}

// setBody makes body that of r.
func setBody(r *http.Request, body []byte) {
	r.TransferEncoding = nil
	if body == nil {
		r.Body, r.ContentLength = http.NoBody, 0
		r.Header.Del("Content-Length")
		return
	}
	r.Body, r.ContentLength = &sent{*bytes.NewReader(body)}, int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	r.GetBody = nil
}

// sent is a body that is there already.
type sent struct{ bytes.Reader }

// Close implements [io.Closer].
func (*sent) Close() error { return nil }

// call calls next in the calling goroutine. It returns a panic as an error.
func (h *Endpoint) call(w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		switch panicked := recover(); panicked {
		case nil:
		case http.ErrAbortHandler:
			err = http.ErrAbortHandler
		default:
			err = fmt.Errorf("panic in the handler behind the guard: %v\n%s", panicked, debug.Stack())
		}
	}()
	h.next.ServeHTTP(w, r)
	return nil
}

// deleteSession ends a session on the side of next.
func (h *Endpoint) deleteSession(admitted context.Context, template *http.Request, id string) {
	ctx, cancel := context.WithTimeout(admitted, ownWithin)
	defer cancel()
	r := ownRequest(ctx, template, http.MethodDelete, nil)
	for _, name := range []string{"Content-Type", headerMethod, headerName} {
		r.Header.Del(name)
	}
	r.Header.Set(mcpfront.HeaderSession, id)
	h.tell(ctx, r, "DELETE")
}

// cancel tells next that a call has ended because of err.
func (x *exchange) cancel(m *message, err error) {
	ctx, cancel := context.WithTimeout(x.admitted, ownWithin)
	defer cancel()
	why := "the API key of the call ended"
	if server := (*mcppolicy.ServerEndedError)(nil); errors.As(err, &server) {
		why = server.Why
	}
	body := fmt.Appendf(nil, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%s,"reason":%s}}`, m.id.Raw(), mcpjson.Quote(why))
	r := ownRequest(ctx, x.r, http.MethodPost, body)
	r.Header.Del(headerMethod)
	r.Header.Del(headerName)
	x.h.tell(ctx, r, "notifications/cancelled")
}

// tell sends a request whose answer is not needed.
func (h *Endpoint) tell(ctx context.Context, r *http.Request, what string) {
	done := make(chan error, 1)
	go func() { done <- h.call(&collector{header: http.Header{}, left: 0}, r) }()
	select {
	case err := <-done:
		if err != nil && !errors.Is(err, http.ErrAbortHandler) {
			h.guard.LogRefusal(ctx, "panicked", err, slog.String("method", what))
		}
	case <-ctx.Done():
	}
}

// errUpstream is the kind of all faults of next.
var errUpstream = errors.New("the MCP server behind this guard gave no usable answer")

func faultOf(why string) error { return fmt.Errorf("%w: %s", errUpstream, why) }

// answered is what answers a request of this handler.
type answered struct {
	*message
	status int
	header http.Header
}

// ask sends one request of this handler to next, and returns what answers it. left is how many
// bytes of an answer it may still read. Other messages go beside it.
func (x *exchange) ask(ctx context.Context, fields mcpjson.Object, edits []mcpjson.Edit, left *int, b *beside) (*answered, error) {
	if err := (mcppolicy.Needs{Whole: true}).Check(x.admitted, x.h.guard); err != nil {
		return nil, err
	}
	id := "mcpkeys-" + rand.Text() // a client that knew it could ask with the same id, and get this answer
	body := fields.With(append(edits, mcpjson.Edit{Name: "id", Raw: mcpjson.Quote(id)})...)
	if !b.takes {
		ctx = context.WithValue(ctx, answerKey{}, true)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &collector{header: http.Header{}, left: *left, key: "s" + id, found: make(chan struct{})}
	c.other = func(m *message) { b.pass(m, c.key) }
	r := ownRequest(ctx, x.r, http.MethodPost, body)
	r.Header.Set("Accept", typeJSON+", "+typeEvents)
	done := make(chan error, 1)
	go func() { done <- x.h.call(c, r) }()
	var err error
	select {
	case err = <-done:
	case <-c.found:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	a, failed := c.answer()
	*left = c.rest()
	return x.judgeAnswer(a, cmp.Or(failed, err))
}

// judgeAnswer decides about an answer as a sink does: by its status, and then by whether it has a
// message.
func (x *exchange) judgeAnswer(a *answered, err error) (*answered, error) {
	switch {
	case a.status == http.StatusNotFound && x.session != nil:
		return nil, errLost
	case a.message != nil && x.passes(a.status):
		return a, nil
	case a.status >= http.StatusBadRequest && a.status < http.StatusInternalServerError && x.passes(a.status):
		return nil, &refusedError{a.status, a.header}
	case err != nil && !errors.Is(err, http.ErrAbortHandler):
		return nil, err
	}
	return nil, faultOf("status " + strconv.Itoa(a.status))
}

// collector reads the answer to a request of this handler. It keeps the one message with the
// right id.
type collector struct {
	key   string
	found chan struct{}
	other func(*message) // gets what is not an answer

	mu     sync.Mutex
	header http.Header
	status int
	began  http.Header // the headers with which the answer began
	left   int
	events *events
	buf    []byte
	got    *message
	failed error
}

func (c *collector) Header() http.Header { return c.header }

func (c *collector) WriteHeader(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin(status)
}

func (c *collector) begin(status int) {
	if c.status != 0 || status < http.StatusOK {
		return
	}
	c.status, c.began = status, c.header.Clone()
	switch {
	case encoded(c.header):
		c.failed = faultOf("its answer is encoded")
	case mediaType(c.header) == typeEvents:
		c.events = &events{max: c.left}
	case mediaType(c.header) != typeJSON:
		c.failed = faultOf("status " + strconv.Itoa(status) + ", and not JSON")
	}
}

func (c *collector) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin(http.StatusOK)
	if c.left -= len(p); c.left < 0 && c.failed == nil && c.key != "" {
		c.failed = faultOf("its answer is too large")
	}
	switch {
	case c.failed != nil:
		return 0, c.failed
	case c.key == "" || c.got != nil:
		return len(p), nil
	case c.events == nil:
		c.buf = append(c.buf, p...)
	default:
		if err := c.events.feed(p, func(e event) error { c.take(e.data); return nil }); err != nil {
			c.failed = err
			return 0, err
		}
	}
	return len(p), nil
}

// FlushError is there because a proxy that cannot flush ends.
func (c *collector) FlushError() error { return nil }

// take keeps the message if it is the answer.
func (c *collector) take(text []byte) {
	v, err := mcpjson.Parse(text)
	if err != nil || c.got != nil {
		return
	}
	m, err := readMessage(v)
	switch {
	case err != nil:
	case m.method != "":
		c.other(m)
	case m.key == c.key:
		c.got = m
		close(c.found)
	}
}

func (c *collector) answer() (*answered, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.events == nil && c.got == nil && c.failed == nil {
		c.take(c.buf)
	}
	return &answered{c.got, c.status, c.began}, c.failed
}

func (c *collector) rest() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}

// encoded reports whether the body of an answer is not as it is read here.
func encoded(h http.Header) bool {
	values := h["Content-Encoding"]
	return len(values) > 1 || len(values) == 1 && values[0] != "" && values[0] != "identity"
}
