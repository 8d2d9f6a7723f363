// Package mcpfront is what the adapters for MCP have in common in front of their protocol: which
// hosts and web pages may call, what clients hear that look for OAuth, how many sessions a key
// has, how a session ends with its key, and when a client is told that its lists changed.
//
// It reads headers and never a body.
package mcpfront

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/mcpkeys/mcpkeys/internal/base/hostcheck"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// HeaderSession names the session of a request.
const HeaderSession = "Mcp-Session-Id"

// firstSessionless is the first protocol version without sessions. Versions are dates, and the
// SDKs also compare them as text.
const firstSessionless = "2026-07-28"

// Sessionless reports whether a request says that it has no session. One with a session's id
// belongs to that session.
func Sessionless(r *http.Request) bool {
	return r.Header.Get(HeaderSession) == "" && r.Header.Get("Mcp-Protocol-Version") >= firstSessionless
}

// Front judges a request before its body is read.
type Front struct {
	guard   *middleware.Guard
	anyHost bool
	hosts   hostcheck.Names
	origins origins
}

// New makes a Front of the options that adapters share. It panics on an origin or a host that
// no request could have; owner is the package that is named then. anyHost accepts every Host if
// hosts has none.
func New(owner string, guard *middleware.Guard, trusted, hosts []string, anyHost bool) *Front {
	names, err := hostcheck.New(hosts)
	if err != nil {
		panic(fmt.Errorf("%s: Options.AllowedHosts: %w", owner, err))
	}
	return &Front{guard, anyHost && len(names) == 0, names, newOrigins(owner, trusted)}
}

// Admit returns the request to pass on. Otherwise it has written the complete answer and returns
// false.
func (f *Front) Admit(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	switch {
	case oauthPath(r.URL.Path):
		noOAuth(w, f.guard.Refused(r, keys.Code(nothingHere.Code)))
	case !f.allowsHost(r):
		f.guard.Refuse(w, r, wrongHost, slog.String("host", r.Host))
	case !f.origins.allow(r):
		f.guard.Refuse(w, r, foreignOrigin)
	default:
		return f.guard.AdmitMessages(w, r)
	}
	return nil, false
}

// allowsHost decides which Host is accepted. The check of the Go SDK is off: its refusal is not
// logged, is plain text, and has status 403, which clients take for a missing permission.
func (f *Front) allowsHost(r *http.Request) bool {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return f.anyHost || f.hosts.Fit(local, r.Host)
}

var wrongHost = middleware.Problem{
	Status: http.StatusMisdirectedRequest, Code: "wrong_host",
	Detail: "This server does not accept the name in the Host header. Use the server's own address, or ask its operator to allow the name.",
}

var foreignOrigin = middleware.Problem{
	Status: http.StatusForbidden, Code: "origin_not_allowed",
	Detail: "Calls from this web page are not allowed. The server's operator can name it as a trusted origin.",
}
