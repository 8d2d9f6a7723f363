package restapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/internal/base/loglimit"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/ginauth"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// Public lists every path that answers without a key.
func Public() []string {
	return []string{"/healthz", "/readyz", "/openapi.json", "/openapi.yaml"}
}

// The names of the guards, as the OpenAPI document has them.
const (
	schemeAdminKey = "adminKey"
	schemeAnyKey   = "anyKey"
	schemeKey      = "key"
)

// AdminKey is the Security of an operation for admin keys with all of scopes.
func AdminKey(scopes ...string) []map[string][]string {
	return []map[string][]string{{schemeAdminKey: scopes}}
}

// AnyKey is the Security of an operation in which every active key learns about itself.
func AnyKey() []map[string][]string {
	return []map[string][]string{{schemeAnyKey: {}}}
}

// API is an HTTP API. Register everything before the first request; after that it is safe for
// concurrent use.
type API struct {
	engine *gin.Engine
	huma   huma.API
	guards map[string]*middleware.Guard
	closed map[string]bool  // schemas of requests, which refuse unknown members
	quiet  map[string]bool  // routes that programs call for each of their requests
	plain  map[string]Plain // operations that huma does not serve, by their id
	proxy  []forProxies
	logger *slog.Logger
	limit  loglimit.Limiter
}

// Options configures [New]. Nil and the zero value are valid.
type Options struct {
	Logger         *slog.Logger   // one line a request; for requests without a valid key, ten a minute of each kind; nil discards
	TrustedProxies []netip.Prefix // see [middleware.Options]
}

// New returns an API without operations, whose guards use v.
func New(v *verifier.Verifier, o *Options) *API {
	if o == nil {
		o = &Options{}
	}
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	guardLogger := slog.New(withoutPath{logger.Handler()})
	a := &API{
		engine: newEngine(),
		closed: map[string]bool{},
		quiet:  map[string]bool{},
		plain:  map[string]Plain{},
		logger: logger,
		limit:  loglimit.Limiter{Message: "more requests without a valid key"},
		guards: map[string]*middleware.Guard{
			schemeAdminKey: middleware.New(v, &middleware.Options{Admin: true, Logger: guardLogger, TrustedProxies: o.TrustedProxies}),
			schemeAnyKey:   middleware.New(v, &middleware.Options{Any: true, Logger: guardLogger, TrustedProxies: o.TrustedProxies}),
			schemeKey:      middleware.New(v, &middleware.Options{Logger: guardLogger, TrustedProxies: o.TrustedProxies}),
		},
	}
	a.engine.Use(a.open, a.recover)
	a.engine.NoRoute(a.forProxies, refuseWith(problemNoRoute))
	a.engine.NoMethod(refuseWith(problemNoMethod))
	a.huma = huma.NewAPI(config(a.transform), adapter{a})
	a.serveDocument()
	return a
}

// newEngine is gin without its defaults: no logger that prints queries, no recovery that prints
// headers, no trusted proxies, no redirects to similar paths. A slash that was sent as %2F
// stays inside its segment.
func newEngine() *gin.Engine {
	e := gin.New()
	_ = e.SetTrustedProxies(nil) // fails only on addresses, and there are none
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.RedirectFixedPath = false
	e.UseRawPath = true
	e.UnescapePathValues = true
	return e
}

// Decision is the guard's decision on the request with this context: for example, which of the
// key's secrets was used.
func Decision(ctx context.Context) keys.Decision {
	d, _ := middleware.DecisionFrom(ctx)
	return d
}

// Handler serves the API.
func (a *API) Handler() http.Handler { return a.engine }

// Routes lists all routes, also public ones: method and path as gin has them.
func (a *API) Routes() [][2]string {
	var out [][2]string
	for _, r := range a.engine.Routes() {
		out = append(out, [2]string{r.Method, r.Path})
	}
	return out
}

// Register adds an operation. An error that do returns becomes the problem that the table in
// problem.go has for it.
func Register[I, O any](a *API, op huma.Operation, do func(context.Context, *I) (*O, error)) {
	if len(op.Security) == 0 && !slices.Contains(Public(), op.Path) {
		panic(fmt.Sprintf("restapi: %s %s has no Security and is not on the list of public paths", op.Method, op.Path))
	}
	op.MaxBodyBytes = -1 // readBody limits it
	op.Responses, op.Errors = a.responses(op), nil
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := do(ctx, in)
		if err != nil {
			return nil, a.failure(ctx, err)
		}
		return out, nil
	})
	a.mendDocument(op)
}

// adapter puts the chain that doc.go describes before each operation.
type adapter struct{ *API }

// Handle implements [huma.Adapter].
func (a adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	path := strings.NewReplacer("{", ":", "}", "").Replace(op.Path)
	var chain []gin.HandlerFunc
	plain, isPlain := a.plain[op.OperationID]
	if plain.Before != nil {
		chain = append(chain, func(c *gin.Context) {
			if !plain.Before(c.Writer, c.Request) {
				c.Writer.WriteHeaderNow()
				c.Abort()
			}
		})
	}
	for _, alternative := range op.Security {
		for scheme, scopes := range alternative {
			chain = append(chain, ginauth.Require(a.guards[scheme], scopes...))
		}
	}
	chain = append(chain, checkQuery(op))
	if isPlain {
		chain = append(chain, serve(plain.Serve))
	} else {
		chain = append(chain, a.readBody(op), func(c *gin.Context) { handler(humagin.NewContext(op, c)) })
	}
	a.engine.Handle(op.Method, path, chain...)
	if op.Method == http.MethodGet {
		a.engine.HEAD(path, chain...) // net/http omits the body
	}
}

// ServeHTTP implements [huma.Adapter].
func (a adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.engine.ServeHTTP(w, r) }
