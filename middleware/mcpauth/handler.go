package mcpauth

import (
	"cmp"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/mcpscope"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// DefaultSessionTimeout ends a session after so long without a request of its client. Without
// it the SDK keeps sessions without limit, and any valid key can open many. A client that
// returns later gets 404 and opens another.
const DefaultSessionTimeout = 24 * time.Hour

// Options configures [Handler]. Nil and the zero value are valid.
type Options struct {
	// TrustedOrigins are the web pages, besides the server's own host, whose scripts may call:
	// "https://inspector.example", exactly as browsers send it. A request from any other page
	// is answered 403 before its key is checked. Other programs send no Origin and are not
	// affected. Handler sends no CORS headers: if pages need to read answers, add a CORS
	// middleware around it.
	TrustedOrigins []string

	// AllowedHosts are the names, besides the server's own address, that a request's Host may
	// have: "mcp.example.com", without a port, for a proxy that forwards its clients' Host.
	// Without any, a connection to loopback accepts only loopback names, so that no web page
	// reaches it through its own name, and other connections accept every name. With some, a
	// connection accepts them and the address at which it arrived; a connection to loopback
	// also accepts loopback names. Other names are answered 421.
	AllowedHosts []string

	// HTTP is passed to the SDK: SessionTimeout (DefaultSessionTimeout if zero), JSONResponse,
	// EventStore, Logger, MaxRequestBodyBytes (4 MiB by default) and the rest. Stateless is
	// ignored; Handler serves both kinds. DisableLocalhostProtection without AllowedHosts
	// accepts every Host.
	HTTP *mcp.StreamableHTTPOptions
}

// Handler serves server over streamable HTTP to callers whose key guard accepts. It panics if
// guard or server is nil, or an origin or host is invalid.
//
// It adds a receiving middleware to server, which then refuses every request that did not come
// through a Handler. Middleware that the server had before runs inside of it, with the caller's
// identity; middleware that is added later runs outside. You may call Handler twice on one
// server: the same checks then run twice.
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
	withSessions.DisableLocalhostProtection = true // hosts decides instead
	without := withSessions
	without.Stateless, without.EventStore = true, nil // nothing is resumed there

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
	maxBody  int64 // no limit if negative
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

// identified passes the identity that the guard found to the SDK. The SDK accepts only a bearer
// token, so it gets a dummy, which is removed again before any message is read.
func identified(next http.Handler) http.Handler {
	const header, dummy = "Authorization", "Bearer admitted"
	withTokenInfo := auth.RequireBearerToken(tokenInfo, &auth.RequireBearerTokenOptions{
		AllowMissingExpiration: true, // the guard checks expiry, with each request
	})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del(header)
		next.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set(header, dummy)
		withTokenInfo.ServeHTTP(w, r)
	})
}

// eras passes each request to the half of the SDK that speaks its protocol version. Both use
// the same server and the same middleware, so a wrong version cannot avoid a check.
type eras struct {
	server, hidden        *mcp.Server
	sessions, sessionless *mcp.StreamableHTTPHandler
}

// firstSessionless is the first protocol version without sessions. Versions are dates, and the
// SDK also compares them as text.
const firstSessionless = "2026-07-28"

func (e *eras) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if sessionless(r) {
		e.sessionless.ServeHTTP(w, r)
		return
	}
	e.sessions.ServeHTTP(w, r)
}

const headerSession = "Mcp-Session-Id"

// sessionless reports whether a request says that it has no session. One with a session's id
// belongs to that session.
func sessionless(r *http.Request) bool {
	return r.Header.Get(headerSession) == "" && r.Header.Get("Mcp-Protocol-Version") >= firstSessionless
}

// listens reports whether a request says that it opens a subscription. Others are noticed when
// the message is judged.
func listens(r *http.Request) bool {
	return sessionless(r) && r.Header.Get("Mcp-Method") == listenMethod
}

// serverFor sends calls of tools that were not granted to another server. Before any middleware
// the SDK compares Mcp-Param- headers with the schema of the tool in the body, and so would
// show that it exists. Mcp-Name only chooses the server: it must equal the name in the body, or
// the SDK answers 400.
func (e *eras) serverFor(r *http.Request) *mcp.Server {
	if r.Header.Get("Mcp-Method") != "tools/call" {
		return e.server
	}
	if id, _ := keys.IdentityFrom(r.Context()); !id.Allows(mcpscope.Tool(r.Header.Get("Mcp-Name"))) {
		return e.hidden
	}
	return e.server
}

// hiddenServer has no features: it looks like a server of which the key was granted nothing.
func hiddenServer(guard *middleware.Guard) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "mcpkeys"}, nil)
	s.AddReceivingMiddleware(authorize(guard))
	return s
}
