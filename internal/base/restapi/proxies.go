package restapi

import (
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/middleware"
)

// forProxies is a handler of sub-requests that proxies make.
type forProxies struct {
	is      func(*http.Request) bool
	handler http.Handler
}

// HandleProxies adds a handler for the requests that is reports, with any method. It is made
// with a guard for ordinary keys. Only its refusals are logged, by that guard.
func (a *API) HandleProxies(is func(*http.Request) bool, handler func(*middleware.Guard) http.Handler) {
	a.proxy = append(a.proxy, forProxies{is, handler(a.guards[schemeKey])})
}

// ForProxies reports whether r is for a handler of [API.HandleProxies]: its Host and Origin are
// those of the proxy's client.
func (a *API) ForProxies(r *http.Request) bool {
	for _, p := range a.proxy {
		if p.is(r) {
			return true
		}
	}
	return false
}

// keyForProxies marks a request that is not logged at its end.
const keyForProxies = "for proxies"

// forProxies comes before the refusal of unknown paths: gin has no route for every method.
func (a *API) forProxies(c *gin.Context) {
	for _, p := range a.proxy {
		if p.is(c.Request) {
			c.Set(keyForProxies, true)
			p.handler.ServeHTTP(c.Writer, c.Request)
			c.Writer.WriteHeaderNow()
			c.Abort()
			return
		}
	}
}

// Describe adds an operation for clients with an ordinary key to the document, and nothing else.
func (a *API) Describe(op huma.Operation) {
	op.Security = []map[string][]string{{schemeKey: {}}}
	answers := a.responses(op)
	delete(answers, strconv.Itoa(http.StatusMisdirectedRequest)) // the Host is not checked
	for _, denial := range answers {
		denial.Headers = map[string]*huma.Header{"X-Mcpkeys-Code": {Description: "The code of the body", Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	for status, r := range op.Responses {
		answers[status] = r
	}
	op.Responses = answers
	a.huma.OpenAPI().AddOperation(&op)
	a.mendDocument(op)
}
