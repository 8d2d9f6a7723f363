package restapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/internal/base/loglimit"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// open gives a request its id and its answer the common headers, and logs the request at the
// end.
func (a *API) open(c *gin.Context) {
	start := time.Now() //nolint:forbidigo // for the log only
	c.Request = middleware.Identify(c.Request)
	c.Request.Header.Del("Accept") // there is one format; huma would let the client choose others
	h := c.Writer.Header()
	h.Set("X-Request-Id", requestid.From(c.Request.Context()))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	c.Next()
	a.log(c, time.Since(start))
}

// routeVerify is called by programs, for each of their requests.
const routeVerify = "/v1/verify"

// lets limits the log lines of callers without a valid key, who can cause any number of them.
func (a *API) lets(kind ...string) bool {
	return a.limit.Lets(loglimit.Kind{Code: keys.Code(strings.Join(kind, " "))}, a.logger)
}

// log writes the route instead of the path, and only known methods.
func (a *API) log(c *gin.Context, took time.Duration) {
	ctx := c.Request.Context()
	caller, _ := keys.IdentityFrom(ctx)
	route := c.FullPath()
	if route == "" {
		route = "none"
	}
	status := c.Writer.Status()
	if caller == nil && !a.lets("request", route, strconv.Itoa(status)) {
		return
	}
	level := slog.LevelInfo
	if caller != nil && (route == routeVerify || a.quiet[route] && status < http.StatusBadRequest) {
		level = slog.LevelDebug // one line for each request of each guarded server
	}
	if !a.logger.Enabled(ctx, level) {
		return
	}
	a.logger.LogAttrs(ctx, level, "request",
		slog.String("method", plainMethod(c.Request.Method)),
		slog.String("route", route),
		slog.Int("status", status),
		slog.Duration("took", took),
		slog.String("key_id", caller.KeyID()),
		slog.String("request_id", requestid.From(ctx)))
}

func plainMethod(method string) string {
	known := []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions,
	}
	if slices.Contains(known, method) {
		return method
	}
	return "other"
}

// recover turns a panic into 500. The log gets the stack, and the panic's value only if it is
// an error of the runtime: another value could contain anything.
func (a *API) recover(c *gin.Context) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v == http.ErrAbortHandler { //nolint:errorlint // never wrapped
			panic(v)
		}
		a.logger.LogAttrs(c.Request.Context(), slog.LevelError, "panic",
			slog.String("value", panicText(v)),
			slog.String("request_id", requestid.From(c.Request.Context())),
			slog.String("stack", string(debug.Stack())))
		if c.Writer.Written() {
			c.Abort()
			return
		}
		problemInternal.abort(c)
	}()
	c.Next()
}

func panicText(v any) string {
	if err, ok := v.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", v)
}

// withoutPath drops the path that a guard logs, because it may contain anything; the log line
// of the request, with the same request_id, names the route.
type withoutPath struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h withoutPath) Handle(ctx context.Context, r slog.Record) error {
	kept := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(attr slog.Attr) bool {
		switch attr.Key {
		case "path":
		case "method":
			kept.AddAttrs(slog.String("method", plainMethod(attr.Value.String())))
		default:
			kept.AddAttrs(attr)
		}
		return true
	})
	return h.Handler.Handle(ctx, kept)
}
