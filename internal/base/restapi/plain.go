package restapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"

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
		func(c *gin.Context) {
			h(c.Writer, c.Request)
			c.Writer.WriteHeaderNow()
		})
}

// Read reads the body of r, at most limit bytes, into v, which points to a struct. It accepts
// the same JSON as an operation: no duplicate or unknown members, at any depth, and names that
// match exactly. If it reports false, it has refused the request.
func (a *API) Read(w http.ResponseWriter, r *http.Request, limit int64, v any) bool {
	body, p := readBytes(w, r, true, limit)
	if p == nil {
		if err := decodeExactly(body, v); err != nil {
			p = invalid(fieldBody, err.Error())
		}
	}
	if p != nil {
		p.refuse(w, r)
		return false
	}
	return true
}

// Answer writes v as JSON, with status 200.
func (a *API) Answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
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

// decodeExactly decodes one JSON object.
func decodeExactly(data []byte, v any) error {
	if err := checkJSONOf(data, reflect.TypeOf(v).Elem()); err != nil {
		return err
	}
	return wrongType(json.Unmarshal(data, v))
}

// refuse answers r with p.
func (p *problem) refuse(w http.ResponseWriter, r *http.Request) {
	middleware.Problem(*p).Write(w, r)
}
