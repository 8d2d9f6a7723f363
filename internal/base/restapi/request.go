package restapi

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// MaxBody is the size of the largest body that is read, in bytes.
const MaxBody = 64 << 10

// checkQuery accepts the parameters that op declares, each at most once. An unknown parameter
// is a typing error, or a secret that would end in a log.
func checkQuery(op *huma.Operation) gin.HandlerFunc {
	known := map[string]bool{}
	for _, p := range op.Parameters {
		known[p.Name] = known[p.Name] || p.In == "query"
	}
	return func(c *gin.Context) {
		query, err := url.ParseQuery(c.Request.URL.RawQuery)
		if err != nil {
			invalid("query", "cannot be parsed; encode each name and value").abort(c)
			return
		}
		for name, values := range query {
			switch {
			case !known[name]:
				invalid("query", "has an unknown parameter; never send a key here, and revoke one that was sent").abort(c)
				return
			case len(values) > 1:
				invalid(name, "must not be given twice").abort(c)
				return
			}
		}
	}
}

// readBody reads and checks the body of an operation that has one, and keeps it to be read
// again. It does not read a body of other operations.
func (a *API) readBody(op *huma.Operation) gin.HandlerFunc {
	if op.RequestBody == nil {
		return func(c *gin.Context) { c.Request.Body = http.NoBody }
	}
	guards := a.guardsOf(op)
	return func(c *gin.Context) {
		body, p := readJSON(c.Writer, c.Request, op.RequestBody.Required, MaxBody)
		if p == nil && !current(c.Writer, c.Request, guards...) {
			c.Abort()
			return
		}
		if p == nil && len(body) > 0 {
			var plain any
			if err := decode(body, &plain); err != nil { // huma would answer 400
				p = invalid(fieldBody, err.Error())
			}
		}
		if p != nil {
			p.abort(c)
			return
		}
		c.Request.Body = io.NopCloser(bytes.NewReader(body))
		c.Request.Header.Set("Content-Type", "application/json") // without its parameters
	}
}

// guardsOf returns the guards of an operation.
func (a *API) guardsOf(op *huma.Operation) (guards []*middleware.Guard) {
	for _, alternative := range op.Security {
		for scheme := range alternative {
			guards = append(guards, a.guards[scheme])
		}
	}
	return guards
}

// current checks the caller's key once more after the body was read: the key was checked at the head of
// the request, and a revoke may have returned while the body was on its way. If it reports false,
// it has refused the request.
func current(w http.ResponseWriter, r *http.Request, guards ...*middleware.Guard) bool {
	for _, guard := range guards {
		if err := guard.Recheck(r.Context()); err != nil {
			guard.RefuseEnded(w, r, err)
			return false
		}
	}
	return true
}

// readJSON returns the body, at most limit bytes, empty if it may be left out and was.
func readJSON(w http.ResponseWriter, r *http.Request, required bool, limit int64) ([]byte, *problem) {
	kind := r.Header.Values("Content-Type")
	if len(kind) > 0 && !isJSON(kind) {
		return nil, &problemNotJSON
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return nil, unread(err)
	}
	switch {
	case len(body) == 0 && !required:
		return nil, nil
	case len(body) == 0:
		return nil, invalid(fieldBody, "is required: one JSON object")
	case len(kind) == 0:
		return nil, &problemNotJSON
	}
	return body, nil
}

// isJSON reports whether there is one Content-Type, JSON in UTF-8.
func isJSON(kind []string) bool {
	media, params, err := mime.ParseMediaType(kind[0])
	if err != nil || len(kind) > 1 || media != "application/json" {
		return false
	}
	charset, given := params["charset"]
	return len(params) == 0 || given && len(params) == 1 && (charset == "utf-8" || charset == "UTF-8")
}

// unread says why a body could not be read.
func unread(err error) *problem {
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &tooLarge):
		return tooLargeFor(tooLarge.Limit)
	case errors.As(err, &network) && network.Timeout():
		return &problemTimeout
	}
	return invalid(fieldBody, "did not arrive completely")
}

// invalid is the problem of one field.
func invalid(field, message string) *problem {
	return &problem{
		Status: http.StatusUnprocessableEntity, Code: api.CodeInvalidArgument, Detail: detailInvalid,
		Errors: []middleware.FieldError{{Field: field, Message: message}},
	}
}
