package restapi

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"

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
	body, p := readJSON(w, r, true, limit)
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
	if err := checkJSON(data); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var plain any
	if err := dec.Decode(&plain); err != nil {
		return errNotJSON
	}
	if err := checkNames(plain, reflect.TypeOf(v).Elem()); err != nil {
		return err
	}
	return wrongType(json.Unmarshal(data, v))
}

// checkNames refuses members that t does not have by exactly that name, and null. Other wrong
// types are left to encoding/json.
func checkNames(plain any, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch value := plain.(type) {
	case nil:
		return errNull
	case []any:
		if t.Kind() != reflect.Slice {
			return nil
		}
		for _, one := range value {
			if err := checkNames(one, t.Elem()); err != nil {
				return err
			}
		}
	case map[string]any:
		if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
			return nil
		}
		members := membersOf(t)
		for name, one := range value {
			member, known := members[name]
			if !known {
				return errUnknown
			}
			if err := checkNames(one, member); err != nil {
				return err
			}
		}
	}
	return nil
}

// membersOf returns the JSON members of a struct, also those of embedded structs.
func membersOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			out[name] = f.Type
		}
	}
	return out
}

// refuse answers r with p.
func (p *problem) refuse(w http.ResponseWriter, r *http.Request) {
	middleware.Problem(*p).Write(w, r)
}
