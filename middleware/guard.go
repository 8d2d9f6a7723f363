package middleware

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/loglimit"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// DefaultRealm is the realm of challenges by default.
const DefaultRealm = "mcpkeys"

// Options configures [New]. Nil and the zero value are valid.
type Options struct {
	Audience string       // this server's name; empty accepts only keys without an audience
	Headers  []string     // more headers that may carry a key, such as X-Auth-Token; none by default
	Realm    string       // named in challenges; empty means DefaultRealm
	Admin    bool         // accept admin keys (mcpa_) and no others
	Any      bool         // accept every active key of any kind and audience: for answers about the key itself
	Logger   *slog.Logger // one line for each refusal, with the true reason, ten a minute of each kind; nil discards

	// TrustedProxies are the proxies in front of this server, as few addresses as possible: a
	// request from one of them has the client address that its X-Forwarded-For gives. None by
	// default; a range of all addresses is refused. See "Addresses" in the package comment, and
	// [ParseProxy].
	TrustedProxies []netip.Prefix

	// Cost is what a request counts against its key's rate limit; behind mcpauth, what each
	// call within it counts. Nil, and results below one, count one; a result above the limit's
	// burst never passes. It is called once a request, before the key is looked up and after it
	// was removed from the headers, and must not read the body.
	Cost func(*http.Request) int

	// NoRateLimitFields leaves out RateLimit and RateLimit-Policy, which are from an IETF
	// draft. By default they are sent with every call that was counted against a limit.
	// Retry-After is always sent.
	NoRateLimitFields bool
}

// Verifier decides for a guard: [*verifier.Verifier] is one, and any other implementation may
// be used. The methods do what those of [verifier.Verifier] do; only decisions that they
// returned are passed to them.
type Verifier interface {
	// Authenticate decides on a request with token; Authorize narrows the decision to a request
	// that needs all of scopes; Charge counts one call within the request against the key's
	// rate limit. Failures are part of the decision.
	Authenticate(ctx context.Context, token string, call verifier.Call) keys.Decision
	Authorize(d keys.Decision, call verifier.Call, scopes ...string) keys.Decision
	Charge(d keys.Decision, call verifier.Call) keys.Decision

	// NoteDenial gets what the guard itself refuses.
	NoteDenial(d keys.Decision, call verifier.Call)

	// Recheck decides again, as of now, about a request that was admitted. Hold calls ended
	// once Recheck would refuse, or enough returns false, unless it is released before.
	// OnChange calls f whenever the key may have changed.
	Recheck(d keys.Decision, call verifier.Call) (now *keys.Identity, code keys.Code)
	Hold(d keys.Decision, call verifier.Call, enough func(now *keys.Identity) bool, ended func(keys.Code)) (release func())
	OnChange(keyID string, f func()) (cancel func())
}

var _ Verifier = (*verifier.Verifier)(nil)

// Guard lets requests with a valid key pass. It is safe for concurrent use. The zero Guard, and
// a nil one, answer every request with 503.
type Guard struct {
	verifier Verifier
	call     verifier.Call
	headers  credentialHeaders
	proxies  proxies
	cost     func(*http.Request) int
	realm    string
	logger   *slog.Logger
	noFields bool
	limit    *loglimit.Limiter
	proxied  *proxied // nil unless a proxy asks for its client
}

// New returns a Guard that uses v. It panics if v is nil or an option is invalid: a server that
// cannot be guarded as configured must not start.
func New(v Verifier, o *Options) *Guard {
	if v == nil || isNilPointer(v) {
		panic("middleware: no verifier; was the error of verifier.New dropped?")
	}
	if o == nil {
		o = &Options{}
	}
	g := &Guard{
		verifier: v, call: o.call(), cost: o.Cost,
		realm: o.Realm, logger: o.Logger, noFields: o.NoRateLimitFields, limit: &loglimit.Limiter{},
	}
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
	if g.proxies, err = newProxies(o.TrustedProxies); err != nil {
		panic(fmt.Errorf("middleware: Options.TrustedProxies: %w", err))
	}
	return g
}

// isNilPointer detects the typed nil that a dropped error leaves in an interface.
func isNilPointer(v Verifier) bool {
	p := reflect.ValueOf(v)
	return p.Kind() == reflect.Pointer && p.IsNil()
}

// call is what every request to this guard needs.
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

// plainRealm reports whether realm needs no escapes between quotes in a header.
func plainRealm(realm string) bool {
	return strings.IndexFunc(realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) < 0
}

// Require returns a middleware that passes requests whose key grants all of scopes; without
// scopes, any valid key passes. It panics on a scope that no request can satisfy, such as one
// with a wildcard.
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

// Admit decides about one request: all adapters use it. The first guard that admits a request
// looks up the key and counts the call against its rate limit; if the same guard admits the
// returned request again, it only checks the scopes. A request with a credential is judged by
// that credential, also within the context of one that was admitted: it may be another
// caller's.
//
// If the key is valid and grants all of scopes, Admit returns the request to pass on, with the
// caller's identity ([keys.IdentityFrom]) and the request's id ([requestid.From]) in its
// context. Otherwise it has written the complete answer and returns false. In both cases the
// credentials are removed from r.Header. The request's trailer does not reach the handler.
//
// scopes are literal, see [keys.ValidateRequired]; others are never granted.
func (g *Guard) Admit(w http.ResponseWriter, r *http.Request, scopes ...string) (*http.Request, bool) {
	return g.admit(w, r, false, scopes)
}

// AdmitMessages is Admit for a request that carries calls of another protocol, each of which
// goes to [Guard.Judge]. The request itself counts one against a separate limit,
// [keys.RateLimit.Requests] of the key's limit, before its body is read.
func (g *Guard) AdmitMessages(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	return g.admit(w, r, true, nil)
}

func (g *Guard) admit(w http.ResponseWriter, r *http.Request, messages bool, scopes []string) (*http.Request, bool) {
	if a, ok := r.Context().Value(admissionKey{}).(*admission); ok && a.guard == g && !g.headers.in(r.Header) {
		return g.again(w, r, a, scopes)
	}
	call, d := g.authenticate(r, messages)
	if !d.Limit.IsZero() && !g.noFields {
		writeLimit(w.Header(), policyOf(messages), &d)
	}
	if len(scopes) > 0 && d.Valid() {
		d = g.verifier.Authorize(d, call, scopes...)
	}
	if !d.Valid() {
		g.refuse(w, identified(r), d, call)
		return nil, false
	}
	return g.pass(r, &call, &d), true
}

// pass returns the request to pass on.
func (g *Guard) pass(r *http.Request, call *verifier.Call, d *keys.Decision) *http.Request {
	both := &struct { // in one piece of memory
		admission
		http.Request
	}{}
	a := &both.admission
	a.Context = requestid.Context{Context: r.Context(), Identity: d.Identity, Given: givenID(r)}
	a.guard, a.ip, a.agent, a.cost, a.decision = g, call.ClientIP, call.Agent, call.Cost, *d
	a.paid.Store(!call.Messages)
	both.Request = *r.WithContext(a)
	both.Trailer = nil // it is filled after the body is read: a key in it would reach the handler
	return &both.Request
}

// admission is the context of a request that a guard admitted, and the guard's note about it.
type admission struct {
	requestid.Context
	guard    *Guard
	ip       netip.Addr
	agent    string
	cost     int
	decision keys.Decision
	paid     atomic.Bool // the request was counted as its first call
	ended    sync.Once   // logs once that the key ended
}

// call is what the request needed.
func (a *admission) call() verifier.Call {
	call := a.guard.call
	call.ClientIP, call.Agent, call.Cost = a.ip, a.agent, a.cost
	return call
}

type admissionKey struct{}

// Value implements [context.Context].
func (a *admission) Value(key any) any {
	if _, ok := key.(admissionKey); ok {
		return a
	}
	return a.Context.Value(key)
}

// WithoutCancel is [context.WithoutCancel] for the context of a request that a guard admitted.
// Adapters keep it for what outlasts the request; it takes no memory of its own.
func WithoutCancel(ctx context.Context) context.Context {
	if a, ok := ctx.(*admission); ok {
		return lasting{a}
	}
	return context.WithoutCancel(ctx)
}

// lasting is an admission that does not end with its request.
type lasting struct{ a *admission }

func (lasting) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }
func (lasting) Done() <-chan struct{}                   { return nil }
func (lasting) Err() error                              { return nil }

// Value implements [context.Context]. Guards ask for the admission; for other keys the standard
// library knows what a context without an end must not have.
func (l lasting) Value(key any) any {
	if _, ok := key.(admissionKey); ok {
		return l.a
	}
	return context.WithoutCancel(l.a).Value(key)
}

// DecisionFrom returns the decision of the guard that admitted the handler's request: for
// example, which of the key's secrets was used. Without a guard it returns false.
func DecisionFrom(ctx context.Context) (keys.Decision, bool) {
	a, ok := ctx.Value(admissionKey{}).(*admission)
	if !ok {
		return keys.Decision{}, false
	}
	return a.decision, true
}

// again handles guards within guards: one for a whole server, and one more with a scope on a
// route. The key is already removed and counted, so only the scopes are checked.
func (g *Guard) again(w http.ResponseWriter, r *http.Request, a *admission, scopes []string) (*http.Request, bool) {
	_, _ = g.headers.take(r.Header) // removes credentials that were added since
	if len(scopes) == 0 {
		return r, true
	}
	if granted := g.verifier.Authorize(a.decision, a.call(), scopes...); !granted.Valid() {
		g.refuse(w, r, granted, a.call())
		return nil, false
	}
	return r, true
}

// sample notes what the guard itself refuses; the verifier notes the rest.
func (g *Guard) sample(d keys.Decision, call verifier.Call) {
	if g == nil || g.verifier == nil {
		return
	}
	switch d.Code {
	case keys.CodeNoCredential, keys.CodeTwoCredentials:
		g.verifier.NoteDenial(d, call)
	}
}

// authenticate decides about the key of r and removes it. Everything that needs the headers is
// read before that, because removing the key may remove more.
func (g *Guard) authenticate(r *http.Request, messages bool) (verifier.Call, keys.Decision) {
	if g == nil || g.verifier == nil {
		return verifier.Call{ClientIP: proxies(nil).clientIP(r)}, keys.Decision{Code: keys.CodeUnavailable}
	}
	call := g.call
	call.ClientIP, call.Messages = g.proxies.clientIP(r), messages
	if agent := r.Header["User-Agent"]; len(agent) > 0 {
		call.Agent = agent[0]
	}
	token, code := g.headers.take(r.Header)
	if code != keys.CodeValid {
		return call, keys.Decision{Code: code}
	}
	if g.cost != nil {
		call.Cost = g.cost(r)
	}
	d := g.verifier.Authenticate(r.Context(), token, call)
	if d.Code == keys.CodeMalformed || d.Code == keys.CodeNotFound {
		d.Flaw = keys.Flaw(token)
	}
	return call, d
}
