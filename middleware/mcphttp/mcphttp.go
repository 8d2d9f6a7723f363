package mcphttp

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

// DefaultMaxBody is how large the body of a request may be by default.
const DefaultMaxBody = 4 << 20

// DefaultSessionTimeout ends a session after so long without a request of its client.
const DefaultSessionTimeout = 24 * time.Hour

// Options configures [Handler]. Nil and the zero value are valid.
type Options struct {
	// TrustedOrigins are the web pages, besides the server's own host, whose scripts may call:
	// "https://inspector.example", exactly as browsers send it. A request from any other page
	// is answered 403 before its key is checked. Other programs send no Origin and are not
	// affected.
	TrustedOrigins []string

	// AllowedHosts are the names, besides the server's own address, that a request's Host may
	// have: "mcp.example.com", without a port. Without any, a connection to loopback accepts
	// only loopback names, and other connections accept every name. Other names are answered
	// 421.
	AllowedHosts []string

	// Methods are methods of the server's own, with the scope that each needs: "acme/export"
	// needs "tools:export". Each of their messages is a call that counts. Methods that the
	// protocol defines and this package judges cannot be named here.
	Methods map[string]string

	// MaxBody is how large the body of a request may be, in bytes; DefaultMaxBody if zero.
	MaxBody int64

	// SessionTimeout ends a session after so long without a request of its client;
	// DefaultSessionTimeout if zero.
	SessionTimeout time.Duration
}

// Handler guards next, any MCP endpoint over streamable HTTP, for callers whose key guard
// accepts. It panics if guard or next is nil or an option is invalid.
//
// next gets the requests of clients and some of this handler's own: further pages of a list,
// the cancellation of a call and the DELETE of a session whose key has ended. Their context has
// the caller's identity ([keys.IdentityFrom]).
func Handler(guard *middleware.Guard, next http.Handler, o *Options) *Endpoint {
	if guard == nil || next == nil {
		panic("mcphttp: Handler needs a guard and a handler")
	}
	if o == nil {
		o = &Options{}
	}
	if err := checkMethods(o.Methods); err != nil {
		panic(fmt.Errorf("mcphttp: Options.Methods: %w", err))
	}
	return &Endpoint{
		guard: guard, next: next, methods: maps.Clone(o.Methods), life: newLife(),
		front:   mcpfront.New("mcphttp", guard, o.TrustedOrigins, o.AllowedHosts, false),
		maxBody: cmp.Or(o.MaxBody, DefaultMaxBody),
		timeout: cmp.Or(o.SessionTimeout, DefaultSessionTimeout),
	}
}

// checkMethods refuses methods that the protocol has, and scopes that no key can be granted.
func checkMethods(methods map[string]string) error {
	if err := mcppolicy.CheckCustom(methods); err != nil {
		return err
	}
	for method, scope := range methods {
		if err := keys.ValidateRequired(scope); err != nil {
			return fmt.Errorf("the scope of %q: %w", method, err)
		}
	}
	return nil
}

// NotFound answers everything with 404 and a JSON body, except a POST to /register, which gets
// the error of RFC 7591 that says that this server takes API keys. Mount it at "/" beside
// [Handler], for the reasons of mcpauth.NotFound. A nil guard logs nothing.
func NotFound(guard *middleware.Guard) http.Handler { return mcpfront.NotFound(guard) }
