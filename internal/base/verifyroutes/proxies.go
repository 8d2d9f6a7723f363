package verifyroutes

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/internal/base/forwardauth"
	"github.com/mcpkeys/mcpkeys/internal/base/idheader"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
)

// mountForwardAuth adds the route for proxies, which package forwardauth has, and describes its
// form with a query in the document.
func mountForwardAuth(a *restapi.API) {
	a.HandleProxies(forwardauth.Is, forwardauth.Handler)
	headers := map[string]*huma.Header{}
	for _, name := range idheader.Names() {
		headers[name] = &huma.Header{Description: "Percent-encoded", Schema: &huma.Schema{Type: huma.TypeString}}
	}
	parameter := func(name, what string, required bool) *huma.Param {
		return &huma.Param{Name: name, In: "query", Required: required, Description: what, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	deny := parameter("deny", "403: answer 403 instead of 400 and 429, for nginx", false)
	deny.Schema.Enum = []any{"403"}
	a.Describe(huma.Operation{
		OperationID: "forwardAuth", Method: http.MethodGet, Path: forwardauth.Prefix, Tags: []string{"verification"},
		Summary: "Decide for a proxy",
		Description: "For nginx auth_request, Caddy forward_auth, Traefik ForwardAuth and Envoy ext_authz, with any method. The key is the client's, in the client's header. " +
			"Proxies that append a path use /v1/forward-auth/a/AUDIENCE[/s/SCOPE][/d/403]/-/ instead of the query. " +
			"Denials have the header X-Mcpkeys-Code.",
		Parameters: []*huma.Param{
			parameter("audience", "The server behind the proxy", true),
			parameter("scope", "The scope that every request needs, without wildcards", false),
			deny,
		},
		Responses: map[string]*huma.Response{"200": {Description: "Pass the request on", Headers: headers}},
	})
}
