package middleware

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// DefaultRealm is what challenges name when [Options] names nothing.
const DefaultRealm = "mcpkeys"

// Options configures [New]. Nil and the zero value are ready for use.
type Options struct {
	Audience string       // this server's name; empty accepts only keys made for no server in particular
	Headers  []string     // further headers that may carry a key, such as X-Auth-Token; none by default
	Realm    string       // named in challenges; empty means DefaultRealm
	Admin    bool         // accept admin keys (mcpa_) and no others
	Any      bool         // accept every live key, whatever its kind and audience: for answers about the key itself
	Logger   *slog.Logger // one line a refusal, with the true reason; nil discards
}

// Guard lets requests pass that carry a good key. It is safe for concurrent use.
// The zero Guard, and a nil one, answer every request with 503.
type Guard struct {
	verifier *verifier.Verifier
	call     verifier.Call
	headers  credentialHeaders
	realm    string
	logger   *slog.Logger
}

// New returns a Guard that asks v. It panics when v is nil or an option is not
// usable: a server that cannot be guarded as it was configured must not start.
func New(v *verifier.Verifier, o *Options) *Guard {
	if v == nil {
		panic("middleware: no verifier; was the error of verifier.New dropped?")
	}
	if o == nil {
		o = &Options{}
	}
	g := &Guard{verifier: v, call: o.call(), realm: o.Realm, logger: o.Logger}
	if g.realm == "" {
		g.realm = DefaultRealm
	}
	if g.logger == nil {
		g.logger = slog.New(slog.DiscardHandler)
	}
	if !plainRealm(g.realm) {
		panic("middleware: Options.Realm must be printable ASCII without quotes and backslashes")
	}
	var err error
	if g.headers, err = newCredentialHeaders(o.Headers); err != nil {
		panic(fmt.Errorf("middleware: Options.Headers: %w", err))
	}
	return g
}

// call is what every request to this guard is asked for.
func (o *Options) call() verifier.Call {
	if o.Audience != "" {
		if err := keys.ValidateAudience(o.Audience); err != nil {
			panic(fmt.Errorf("middleware: Options.Audience: %w", err))
		}
	}
	call := verifier.Call{Kind: keys.KindKey, Audience: o.Audience, Any: o.Any}
	if o.Admin {
		call.Kind = keys.KindAdmin
	}
	return call
}

// plainRealm: what can stand between quotes in a header as it is.
func plainRealm(realm string) bool {
	return strings.IndexFunc(realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) < 0
}

// Require returns a middleware that passes requests whose key grants all of
// scopes; without any, a good key is enough. It panics on a scope that no request
// could ever satisfy, such as one with a wildcard.
func (g *Guard) Require(scopes ...string) func(http.Handler) http.Handler {
	for _, s := range scopes {
		if err := keys.ValidateRequired(s); err != nil {
			panic(fmt.Errorf("middleware: Require: %w", err))
		}
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r, ok := g.Admit(w, r, scopes...); ok {
				next.ServeHTTP(w, r)
			}
		})
	}
}

// Admit decides about one request: the one function behind every adapter. The key is
// looked up, and the call counted against its rate limit, the first time that a guard
// admits a request; to ask the same guard again about the request that it returned is
// a question of scopes alone.
//
// When the key is good and grants all of scopes, Admit returns the request to pass
// on, with the caller's identity ([keys.IdentityFrom]) and the request's id
// ([keys.RequestIDFrom]) in its context. Else it has written the whole answer and
// returns false. In both cases the credentials are gone from r.Header.
//
// scopes are literal, as [keys.ValidateRequired] has it; others are never granted.
func (g *Guard) Admit(w http.ResponseWriter, r *http.Request, scopes ...string) (*http.Request, bool) {
	if a, ok := r.Context().Value(admissionKey{}).(*admission); ok && a.guard == g {
		return g.again(w, r, a.decision, scopes)
	}
	ctx := keys.WithRequestID(r.Context(), requestID(r))
	d := g.authenticate(ctx, r)
	if granted := d.Authorize(scopes...); !granted.Valid() {
		g.refuse(w, r.WithContext(ctx), granted, scopes)
		return nil, false
	}
	ctx = context.WithValue(ctx, admissionKey{}, &admission{guard: g, ip: clientIP(r), decision: d})
	return r.WithContext(keys.NewContext(ctx, d.Identity)), true
}

// admission is the note that a guard leaves on a request that it let pass.
type admission struct {
	guard    *Guard
	ip       netip.Addr
	decision keys.Decision
	ended    sync.Once // tells the log that the key ended first
}

type admissionKey struct{}

// again serves guards within guards: one for a whole server, one more with a scope on a
// route. The key is gone by then, and was counted, so only the scopes are asked.
func (g *Guard) again(w http.ResponseWriter, r *http.Request, d keys.Decision, scopes []string) (*http.Request, bool) {
	if granted := d.Authorize(scopes...); !granted.Valid() {
		g.refuse(w, r, granted, scopes)
		return nil, false
	}
	return r, true
}

func (g *Guard) authenticate(ctx context.Context, r *http.Request) keys.Decision {
	if g == nil || g.verifier == nil {
		return keys.Decision{Code: keys.CodeUnavailable}
	}
	token, code := g.headers.take(r.Header)
	if code != keys.CodeValid {
		return keys.Decision{Code: code}
	}
	call := g.call
	call.ClientIP = clientIP(r)
	return g.verifier.Authenticate(ctx, token, call)
}

// clientIP is the address of the connection. What forwarding headers say, anybody
// can say. An address that cannot be read is in no range.
func clientIP(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr()
}
