package restapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"path"
	"reflect"
	"strconv"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/admin/api"
)

// config is huma without its own pages: no schemas, no links to them, and no documentation
// page, which would load scripts from another host. Every answer passes transform, which
// removes the values that huma's errors hold.
func config(transform huma.Transformer) huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:   "mcpkeys",
				Version: "1",
				Description: "API keys for internal MCP servers: issue, list, change, revoke and verify them.\n\n" +
					"Every error is application/problem+json with a code; only requests that are not valid HTTP are refused in plain text.  " +
					"No error repeats any part of a request, except a valid X-Request-Id and the scope that was needed. " +
					"HEAD is answered like GET, without the body. Later versions may add members to answers: ignore unknown ones.",
				Contact: &huma.Contact{Name: "mcpkeys", URL: "https://github.com/mcpkeys/mcpkeys"},
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Servers: []*huma.Server{{URL: "/", Description: "The keyctl serve that this document comes from"}},
			Tags: []*huma.Tag{
				{Name: "keys", Description: "Keys and their use"},
				{Name: "audit", Description: "What was changed, and which calls were refused"},
				{Name: "verification", Description: "Whether a key is valid for a call"},
				{Name: "health", Description: "For supervisors; no key is needed"},
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				Headers: headers(),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					schemeAdminKey: {
						Type: "http", Scheme: "bearer", BearerFormat: "mcpa_",
						Description: "An admin key that was granted the named scopes. Send it as Authorization: Bearer or as X-API-Key: one of the two, once.",
					},
					schemeAnyKey: {
						Type: "http", Scheme: "bearer", BearerFormat: "mcpk_ or mcpa_",
						Description: "Any active key.",
					},
					schemeKey: {
						Type: "http", Scheme: "bearer", BearerFormat: "mcpk_",
						Description: "The key of a client, for the named audience. A proxy passes it on as it came: as Authorization: Bearer or as X-API-Key.",
					},
				},
			},
		},
		Formats: map[string]huma.Format{
			"application/json":         strictJSON,
			"application/problem+json": strictJSON,
			"json":                     strictJSON, // what huma looks for after a plus sign
		},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{transform},
	}
}

// NoKey documents that an operation needs no key.
func NoKey() []map[string][]string { return []map[string][]string{} }

// responses documents the problems that op can answer with. With more than one, huma does not
// add its own error model.
func (a *API) responses(op huma.Operation) map[string]*huma.Response {
	statuses := []int{http.StatusMisdirectedRequest, http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable}
	if len(op.Security) > 0 {
		statuses = append(statuses, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
			http.StatusTooManyRequests)
	}
	statuses = append(statuses, op.Errors...)
	schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[api.Problem](), true, "")
	out := map[string]*huma.Response{}
	for _, status := range statuses {
		out[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status),
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: schema}},
		}
	}
	return out
}

// OpenAPI returns the document as JSON.
func (a *API) OpenAPI() ([]byte, error) {
	return json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
}

// OpenAPIYAML returns the document as YAML.
func (a *API) OpenAPIYAML() ([]byte, error) {
	return a.huma.OpenAPI().YAML()
}

// mendDocument corrects what huma made of one operation, at once: later, when requests come,
// the schemas are only read. It removes huma's error model, allows unknown members in answers,
// which may gain some (bodies of requests stay closed), and adds the headers.
func (a *API) mendDocument(op huma.Operation) {
	schemas := a.huma.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	item := a.huma.OpenAPI().Paths[op.Path]
	for _, made := range []*huma.Operation{item.Post, item.Patch} {
		if made == nil || made.RequestBody == nil {
			continue
		}
		if body := made.RequestBody.Content["application/json"]; body != nil {
			a.closed[path.Base(body.Schema.Ref)] = true
		}
	}
	for name, schema := range schemas {
		if !a.closed[name] {
			schema.AdditionalProperties = nil
		}
	}
	for status, response := range op.Responses {
		if response.Headers == nil {
			response.Headers = map[string]*huma.Header{}
		}
		maps.Copy(response.Headers, headersOf(status))
	}
}

// headers are the headers of answers, by name.
func headers() map[string]*huma.Header {
	out := map[string]*huma.Header{}
	for name, description := range map[string]string{
		"X-Request-Id":     "The request's id in the server's log and audit log",
		"WWW-Authenticate": "How to present a key",
		"Retry-After":      "Seconds to wait before the next request",
		"RateLimit":        "What is left of the key's rate limit",
		"RateLimit-Policy": "The key's rate limit",
	} {
		out[name] = &huma.Header{Description: description, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	return out
}

// headersOf lists the headers of an answer with that status.
func headersOf(status string) map[string]*huma.Header {
	names := []string{"X-Request-Id"}
	switch status {
	case "400", "401":
		names = append(names, "WWW-Authenticate")
	case "429":
		names = append(names, "Retry-After", "RateLimit", "RateLimit-Policy")
	case "503":
		names = append(names, "Retry-After")
	}
	out := map[string]*huma.Header{}
	for _, name := range names {
		out[name] = &huma.Header{Ref: "#/components/headers/" + name}
	}
	return out
}

// serveDocument renders the document once, on the first request for it.
func (a *API) serveDocument() {
	serve := func(path, contentType string, render func() ([]byte, error)) {
		once := sync.OnceValues(render)
		a.engine.Match([]string{http.MethodGet, http.MethodHead}, path, func(c *gin.Context) {
			text, err := once()
			if err != nil {
				problemInternal.abort(c)
				return
			}
			c.Data(http.StatusOK, contentType, text)
		})
	}
	serve("/openapi.json", "application/openapi+json", a.OpenAPI)
	serve("/openapi.yaml", "application/openapi+yaml", a.OpenAPIYAML)
}
