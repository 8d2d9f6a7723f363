package restapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/admin/api"
)

// config is huma without its own pages: no schemas, no links to them, and no
// documentation page, which would load its scripts from another host. Every answer
// passes transform, which is where huma's errors lose the values that they hold.
func config(transform huma.Transformer) huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:   "mcpkeys",
				Version: "1",
				Description: "API keys for internal MCP servers: make, list and revoke them, and have one checked.\n\n" +
					"Every error is application/problem+json with a code. No answer repeats any part of a request.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					schemeAdminKey: {
						Type: "http", Scheme: "bearer", BearerFormat: "mcpa_",
						Description: "An admin key that was granted the scopes named, as Authorization: Bearer. X-API-Key will do as well; one of the two, once.",
					},
					schemeAnyKey: {
						Type: "http", Scheme: "bearer", BearerFormat: "mcpk_ or mcpa_",
						Description: "Any live key.",
					},
				},
			},
		},
		Formats: map[string]huma.Format{
			"application/json":         strictJSON,
			"application/problem+json": strictJSON,
			"json":                     strictJSON, // what huma looks for behind a plus sign
		},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{transform},
	}
}

// responses documents the problems that op can answer with. That there is more than
// one keeps huma from adding its own error model.
func (a *API) responses(op huma.Operation) map[string]*huma.Response {
	statuses := []int{http.StatusInternalServerError, http.StatusServiceUnavailable}
	if len(op.Security) > 0 {
		statuses = append(statuses, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests)
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

// dropHumaSchemas takes out the error model that huma adds with each operation, then
// and there: once requests come, the schemas are only read.
func (a *API) dropHumaSchemas() {
	schemas := a.huma.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
}

// serveDocument renders the document once, when it is first asked for.
func (a *API) serveDocument() {
	serve := func(path, contentType string, render func() ([]byte, error)) {
		once := sync.OnceValues(render)
		a.engine.GET(path, func(c *gin.Context) {
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
