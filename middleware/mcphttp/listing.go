package mcphttp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// listed is the answer to a list.
type listed struct {
	raw    []byte
	status int
	header http.Header // of next, if it refused the list
	lost   bool        // next no longer knows the session
	sent   bool        // the answer was a stream, and has ended
}

// refusedError is the status with which next refused a list, without words that can be used.
type refusedError struct {
	status int
	header http.Header
}

func (e *refusedError) Error() string { return fmt.Sprintf("its status is %d", e.status) }

// statusRefused is the error for a request that next refused with that status.
func statusRefused(status int) *mcppolicy.Error {
	return &mcppolicy.Error{
		Code: mcppolicy.CodeInvalidRequest, Message: fmt.Sprintf("The MCP server behind this guard refused the request with status %d.", status),
	}
}

var (
	errLost   = errors.New("the MCP server behind this guard no longer knows the session")
	errSlow   = faultOf("it took too long")
	errCursor = mcppolicy.InvalidParams("invalid params: cursor")
)

// list answers a list with what the caller may use: all pages of next in one, in their order.
func (x *exchange) list(m *message, l mcppolicy.List) listed {
	if c := m.params.Get("cursor"); c.Exists() && c.Kind() != 'n' && string(c.Raw()) != `""` {
		return x.unlisted(m, errCursor)
	}
	needs := mcppolicy.NeedsOf(m.method, "")
	if err := x.h.life.begin(); err != nil {
		return x.unlisted(m, mcppolicy.Ending(err, needs, x.id()))
	}
	defer x.h.life.running.Done()
	ctx, cancel := context.WithCancelCause(x.r.Context())
	defer cancel(nil)
	defer context.AfterFunc(x.h.life.over, func() { cancel(context.Cause(x.h.life.over)) })()
	within := time.AfterFunc(listWithin, func() { cancel(errSlow) })
	defer within.Stop()
	held, release := x.h.guard.Hold(x.admitted)
	defer release()
	defer context.AfterFunc(held, func() { cancel(context.Cause(held)) })()
	b := x.beside(ctx, needs, func() { within.Reset(listAsked) })
	out, err := x.gather(ctx, m, l, b)
	ended := cmp.Or(needs.Check(x.admitted, x.h.guard), context.Cause(held), context.Cause(x.h.life.over)) // nil while it is held
	switch refused := (*refusedError)(nil); {
	case ended != nil:
		out = x.unlisted(m, mcppolicy.Ending(ended, needs, x.id()))
	case errors.Is(err, errLost):
		x.session.forget()
		out = x.unlisted(m, mcppolicy.InvalidRequest("session not found"))
		out.lost = true
	case errors.As(err, &refused):
		out = x.unlisted(m, statusRefused(refused.status))
		out.status, out.header = refused.status, refused.header
	case err != nil:
		x.log(err, m.method)
		out = x.unlisted(m, errNoAnswer)
	}
	out.sent = b.finish(out.raw, ended != nil)
	return out
}

// unlisted is the answer to a list that is not shown.
func (x *exchange) unlisted(m *message, e *mcppolicy.Error) listed {
	return listed{raw: failure(m.id, e), status: x.statusOf(e)}
}

// write copies what of the headers of next a client needs when its list is refused.
func (l *listed) write(to http.Header) {
	for _, name := range []string{"Allow", "Retry-After"} {
		if value := l.header[name]; value != nil {
			to[name] = value
		}
	}
}
