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
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
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
	withSessions.DisableLocalhostProtection = true // mcpfront decides instead
	without := withSessions
	without.Stateless, without.EventStore = true, nil // nothing is resumed there

	anyHost := o.HTTP != nil && o.HTTP.DisableLocalhostProtection
	front := mcpfront.New("mcpauth", guard, o.TrustedOrigins, o.AllowedHosts, anyHost)
	server.AddReceivingMiddleware(authorize(guard))
	eras := &eras{
		server:   server,
		hidden:   hiddenServer(guard),
		sessions: mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &withSessions),
	}
	eras.sessionless = mcp.NewStreamableHTTPHandler(eras.serverFor, &without)
	h := &handler{
		guard: guard, front: front, next: identified(eras),
		maxBody: cmp.Or(withSessions.MaxRequestBodyBytes, mcp.DefaultMaxRequestBodyBytes),
	}
	server.AddSendingMiddleware(h.sessions.tell)
	return h
}

type handler struct {
	guard    *middleware.Guard
	front    *mcpfront.Front
	next     http.Handler
	maxBody  int64 // no limit if negative
	sessions sessions
	slots    mcpfront.Slots
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r, ok := h.front.Admit(w, r)
	if !ok {
		return
	}
	c := newCaller(h, w, r)
	if !h.enter(w, r, c) {
		return
	}
	defer c.visit.Leave()
	opens, ok := h.look(w, r, &c.body)
	if !ok {
		return
	}
	if opens && !c.visit.Reserve() {
		h.guard.Refuse(w, r, mcpfront.TooManySessions)
		return
	}
	if listens(r) && !c.visit.Listen() {
		h.guard.Refuse(w, r, mcpfront.TooManyStreams)
		return
	}
	h.serve(r, c)
}

// identified passes the identity that the guard found to the SDK. The SDK accepts only a bearer
// token, so it gets a dummy, which is removed again before any message is read.
func identified(next http.Handler) http.Handler {
	const header = "Authorization"
	dummy := []string{"bearer admitted"} // only read
	withTokenInfo := auth.RequireBearerToken(tokenInfo, &auth.RequireBearerTokenOptions{
		AllowMissingExpiration: true, // the guard checks expiry, with each request
	})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del(header)
		next.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header[header] = dummy
		withTokenInfo.ServeHTTP(w, r)
	})
}

// eras passes each request to the half of the SDK that speaks its protocol version. Both use
// the same server and the same middleware, so a wrong version cannot avoid a check.
type eras struct {
	server, hidden        *mcp.Server
	sessions, sessionless *mcp.StreamableHTTPHandler
}

func (e *eras) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if mcpfront.Sessionless(r) {
		e.sessionless.ServeHTTP(w, r)
		return
	}
	e.sessions.ServeHTTP(w, r)
}

// listens reports whether a request says that it opens a subscription. Others are noticed when
// the message is judged.
func listens(r *http.Request) bool {
	return mcpfront.Sessionless(r) && r.Header.Get("Mcp-Method") == mcppolicy.Listen
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
