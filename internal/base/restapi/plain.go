package restapi

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/ginauth"
)

// Handle adds a plain route for admin keys with scope. It has no place in the OpenAPI document,
// and its requests are logged only if they are refused, because programs send many. Paths have
// no parameters.
func (a *API) Handle(method, path, scope string, h http.HandlerFunc) {
	a.quiet[path] = true
	a.engine.Handle(method, path,
		ginauth.Require(a.guards[schemeAdminKey], scope),
		checkQuery(&huma.Operation{}),
		serve(h))
}

func serve(h http.HandlerFunc) gin.HandlerFunc {
	return func(c *gin.Context) {
		h(c.Writer, c.Request)
		c.Writer.WriteHeaderNow()
	}
}

// Plain serves an operation that the document describes and huma does not serve: programs call it
// for each of their requests, and huma reads each body three times.
type Plain struct {
	// Before runs before the guard, and may move the caller's key to the header that the guard
	// reads. If it returns false, it has refused the request. Nil does nothing.
	Before func(http.ResponseWriter, *http.Request) bool
	Serve  http.HandlerFunc // reads the request with [API.Read], and answers with [API.Answer] and [API.Fail]
}

// RegisterPlain adds an operation with inputs I and outputs O to the document, as [Register]
// does, and serves it with p. Like the routes of [API.Handle] it is logged only if it refuses.
func RegisterPlain[I, O any](a *API, op huma.Operation, p Plain) {
	a.quiet[op.Path] = true
	a.plain[op.OperationID] = p
	Register(a, op, func(context.Context, *I) (*O, error) { panic("restapi: " + op.OperationID + " is not served by huma") })
}

// Body is an input or an output with a JSON body.
type Body[T any] struct{ Body T }

// Answering serves an operation that reads a JSON body with the required members, and answers
// with another one, as appendTo writes it.
func Answering[I, O any](a *API, do func(context.Context, *I) (*O, error), appendTo func([]byte, *O) []byte, required ...string) Plain {
	return Plain{Serve: func(w http.ResponseWriter, r *http.Request) {
		var in I
		if !a.Read(w, r, MaxBody, &in, required...) {
			return
		}
		out, err := do(r.Context(), &in)
		if err != nil {
			a.Fail(w, r, err)
			return
		}
		w.Header()["Content-Type"] = ofJSON
		_, _ = w.Write(append(appendTo(make([]byte, 0, usualAnswer), out), '\n')) // the client may be gone
	}}
}

const usualAnswer = 1 << 10

// Read reads the body of r, at most limit bytes, into v, which points to a struct. It accepts
// the same JSON as an operation: no duplicate or unknown members, at any depth, and names that
// match exactly. The required members must be there. If it reports false, it has refused the
// request.
func (a *API) Read(w http.ResponseWriter, r *http.Request, limit int64, v any, required ...string) bool {
	body, p := readJSON(w, r, true, limit)
	if p == nil && !a.Current(w, r) {
		return false
	}
	if p == nil {
		p = into(body, v, required)
	}
	if p != nil {
		p.refuse(w, r)
		return false
	}
	return true
}

// Current checks the key of an admin's request once more, after the body was read. If it reports
// false, it has refused the request.
func (a *API) Current(w http.ResponseWriter, r *http.Request) bool {
	return current(w, r, a.guards[schemeAdminKey])
}

func into(body []byte, v any, required []string) *problem {
	err := decode(body, v)
	if named := (*typeError)(nil); errors.As(err, &named) && named.member != "" {
		return invalid(named.member, err.Error())
	}
	if err != nil {
		return invalid(fieldBody, err.Error())
	}
	if member := lacks(body, required); member != "" {
		return invalid(member, "is required")
	}
	return nil
}

// Answer writes v as JSON, with status 200.
func (a *API) Answer(w http.ResponseWriter, v any) {
	w.Header()["Content-Type"] = ofJSON
	_ = strictJSON.Marshal(w, v) // the client may be gone
}

// Fail refuses r with the problem for err, and logs what the operator needs.
func (a *API) Fail(w http.ResponseWriter, r *http.Request, err error) {
	f := (*failure)(nil)
	if !errors.As(a.failure(r.Context(), err), &f) {
		return
	}
	for name, values := range f.GetHeaders() {
		w.Header()[name] = values
	}
	f.problem.refuse(w, r)
}

// Hold returns a context that ends when the key of the request of ctx may no longer send it, as
// [middleware.Guard.Hold] does.
func (a *API) Hold(ctx context.Context) (held context.Context, release func()) {
	return a.guards[schemeAdminKey].Hold(ctx)
}

// refuse answers r with p.
func (p *problem) refuse(w http.ResponseWriter, r *http.Request) {
	middleware.Problem(*p).Write(w, r)
}

// ReadSoon reads the body of a request that no guard has let in, at most limit bytes. All of it
// must arrive within a second. If it reports false, it has refused the request.
func (a *API) ReadSoon(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, bool) {
	middleware.HurryBody(w, r)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		unread(err).refuse(w, r)
		return nil, false
	}
	return body, true
}

// RefuseBody refuses r because its body could not be read, for the reason err.
func (a *API) RefuseBody(w http.ResponseWriter, r *http.Request, err error) { unread(err).refuse(w, r) }

// RefuseType refuses r because its body is not of that media type.
func (a *API) RefuseType(w http.ResponseWriter, r *http.Request, media string) {
	p := problemNotJSON
	p.Detail = "Send the body as Content-Type: " + media + "."
	p.refuse(w, r)
}
