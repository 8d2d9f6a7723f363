package mcpauth

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/mcpkeys/mcpkeys/middleware"
)

// gate is the way out to one caller. It is asked for every piece of an answer, and
// once shut it stays so: what is written after a revoke has returned, by a tool that
// heeds nothing or to a stream that was not closed yet, goes nowhere.
type gate struct {
	http.ResponseWriter
	guard *middleware.Guard
	req   *http.Request           // before it was held
	ctx   context.Context         // of the held request
	shut  context.CancelCauseFunc // ends ctx
	began atomic.Bool             // something went out
}

// pass asks once more for the key. The SDK writes one event at a time.
func (g *gate) pass() error {
	if err := context.Cause(g.ctx); err != nil {
		return err
	}
	if err := g.guard.Recheck(g.ctx); err != nil {
		g.shut(err)
		return err
	}
	g.began.Store(true)
	return nil
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
	if err := g.pass(); err != nil {
		return 0, err
	}
	return g.ResponseWriter.Write(p)
}

// FlushError is what the SDK flushes events with. To flush is to begin an answer.
func (g *gate) FlushError() error {
	if !g.began.Load() {
		return nil
	}
	return http.NewResponseController(g.ResponseWriter).Flush()
}

// finish answers a caller who was answered nothing because the key ended. A stream
// that began just ends.
func (g *gate) finish() {
	if g.began.Load() || g.req.Context().Err() != nil {
		return // its client is gone
	}
	err := g.guard.Recheck(g.ctx)
	if err == nil {
		err = context.Cause(g.ctx)
	}
	if err == nil {
		return
	}
	for _, name := range []string{"Connection", "Mcp-Session-Id"} {
		g.Header().Del(name) // of the answer that does not come
	}
	g.guard.RefuseEnded(g.ResponseWriter, g.req, err)
}
