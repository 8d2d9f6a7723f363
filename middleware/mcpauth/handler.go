package mcpauth

import (
	"cmp"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// DefaultSessionTimeout ends sessions in which the client has asked for nothing so
// long. To the SDK a session lasts for ever unless told otherwise, and any good key
// can open as many as it likes. A client that comes back later is told 404 and
// opens another.
const DefaultSessionTimeout = 24 * time.Hour

// Options configures [Handler]. Nil and the zero value are ready for use.
type Options struct {
	// TrustedOrigins are the web pages, besides the server's own host, whose scripts
	// may call: "https://inspector.example", exactly as browsers send it. A request
	// from any other page is answered 403 before its key is looked at. Programs
	// that are no browsers send no Origin and are not concerned. Handler sends no CORS
	// headers: where pages shall read answers, put a CORS middleware around it.
	TrustedOrigins []string

	// AllowedHosts are the names, besides the server's own address, that a request's Host
	// may hold: "mcp.example.com", without a port, for a proxy that passes on what its
	// clients asked for. Without any, a connection to loopback accepts loopback names
	// alone, so that no web page reaches it through a name of its own, and others accept
	// every name. With some, every connection accepts these and the address that it came
	// to, and loopback also loopback names. Others are answered 421.
	AllowedHosts []string

	// HTTP is handed to the SDK: SessionTimeout (DefaultSessionTimeout when zero),
	// JSONResponse, EventStore, Logger, MaxRequestBodyBytes (4 MiB by default) and the
	// rest. Stateless is ignored; Handler serves both kinds. DisableLocalhostProtection
	// without AllowedHosts accepts every Host.
	HTTP *mcp.StreamableHTTPOptions
}

// Handler serves server over streamable HTTP to callers whose key guard accepts. It
// panics when guard or server is nil, or an origin or host is not one.
//
// It adds a receiving middleware to server, which therefore denies every request
// that did not come through a Handler. Middleware that the server had before runs
// inside of it, with the caller's identity; what is added later runs outside. To
// call Handler twice on one server is harmless: the same checks then run twice.
func Handler(guard *middleware.Guard, server *mcp.Server, o *Options) http.Handler {
	if guard == nil || server == nil {
		panic("mcpauth: Handler needs a guard and a server")
	}
	if o == nil {
		o = &Options{}
	}
	var withSessions mcp.StreamableHTTPOptions
	if o.HTTP != nil {
		withSessions = *o.HTTP
	}
	if withSessions.SessionTimeout == 0 {
		withSessions.SessionTimeout = DefaultSessionTimeout
	}
	withSessions.Stateless = false
	withSessions.DisableLocalhostProtection = true // hosts decides
	without := withSessions
	without.Stateless, without.EventStore = true, nil // nothing is ever resumed there

	server.AddReceivingMiddleware(authorize(guard))
	eras := &eras{
		server:   server,
		hidden:   hiddenServer(guard),
		sessions: mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &withSessions),
	}
	eras.sessionless = mcp.NewStreamableHTTPHandler(eras.serverFor, &without)
	h := &handler{
		guard: guard, hosts: newHosts(o), origins: newOrigins(o.TrustedOrigins), next: identified(eras),
		maxBody: cmp.Or(withSessions.MaxRequestBodyBytes, mcp.DefaultMaxRequestBodyBytes),
	}
	server.AddSendingMiddleware(h.sessions.tell)
	return h
}

type handler struct {
	guard    *middleware.Guard
	hosts    hosts
	origins  origins
	next     http.Handler
	maxBody  int64 // none when negative
	sessions sessions
	slots    slots
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if oauthPath(r.URL.Path) {
		noOAuth(w, h.guard.Refused(r, keys.Code(nothingHere.Code)))
		return
	}
	if !h.hosts.allow(r) {
		h.refuseHost(w, r)
		return
	}
	if !h.origins.allow(r) {
		h.guard.Refuse(w, r, middleware.Problem{
			Status: http.StatusForbidden, Code: "origin_not_allowed",
			Detail: "Calls from this web page are not allowed. The server's operator can name it as a trusted origin.",
		})
		return
	}
	r, ok := h.guard.AdmitMessages(w, r)
	if !ok {
		return
	}
	v := h.visit(w, r)
	if v == nil {
		return
	}
	defer v.leave()
	opens, ok := h.look(w, r)
	if !ok {
		return
	}
	if opens && !v.reserve() {
		h.guard.Refuse(w, r, tooManySessions)
		return
	}
	if listens(r) && !v.listen() {
		h.guard.Refuse(w, r, tooManyStreams)
		return
	}
	h.serve(w, r, v)
}

// identified carries the identity that the guard found to where the SDK looks for
// one. The SDK's only way in is a bearer token, so it is shown a dummy, which is gone
// again before any message is read.
func identified(next http.Handler) http.Handler {
	const header, dummy = "Authorization", "Bearer admitted"
	withTokenInfo := auth.RequireBearerToken(tokenInfo, &auth.RequireBearerTokenOptions{
		AllowMissingExpiration: true, // expiry was checked by the guard, and is again with each request
	})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del(header)
		next.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set(header, dummy)
		withTokenInfo.ServeHTTP(w, r)
	})
}

// eras hands each request to the half of the SDK that speaks its protocol. Both end
// in the same server and the same middleware, so a request that lies about its era
// is only misunderstood.
type eras struct {
	server, hidden        *mcp.Server
	sessions, sessionless *mcp.StreamableHTTPHandler
}

// firstSessionless is the first protocol version without sessions. Versions are
// dates, and the SDK compares them as text too.
const firstSessionless = "2026-07-28"

func (e *eras) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if sessionless(r) {
		e.sessionless.ServeHTTP(w, r)
		return
	}
	e.sessions.ServeHTTP(w, r)
}

const headerSession = "Mcp-Session-Id"

// sessionless reports what a request says of its era. One with a session's id is that
// session's business.
func sessionless(r *http.Request) bool {
	return r.Header.Get(headerSession) == "" && r.Header.Get("Mcp-Protocol-Version") >= firstSessionless
}

// listens reports whether a request says that it opens a subscription. One that does not
// say so is noticed when its message is judged.
func listens(r *http.Request) bool {
	return sessionless(r) && r.Header.Get("Mcp-Method") == listenMethod
}

// serverFor keeps calls of tools that were not granted away from the server that has
// them. Before any middleware the SDK compares Mcp-Param- headers with the schema of
// the tool in the body, and so would tell that it exists. Mcp-Name decides nothing
// but where to ask: it must equal the name in the body, or the SDK answers 400.
func (e *eras) serverFor(r *http.Request) *mcp.Server {
	if r.Header.Get("Mcp-Method") != "tools/call" {
		return e.server
	}
	if id, _ := keys.IdentityFrom(r.Context()); !id.Allows(keys.ToolScope(r.Header.Get("Mcp-Name"))) {
		return e.hidden
	}
	return e.server
}

// hiddenServer has no features: what all of a server looks like to a key that was
// granted nothing of it.
func hiddenServer(guard *middleware.Guard) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "mcpkeys"}, nil)
	s.AddReceivingMiddleware(authorize(guard))
	return s
}
