// Package proxycheck plays clients with and without valid keys against a proxy that asks /v1/forward-auth, for
// `keyctl doctor --proxy`. Each finding names what leaks or breaks, and the line of the proxy's
// configuration to change.
//
// With [Subject.Behind] it also plays the server behind the proxy, and then sees what arrives
// there: spoofed headers, the client's key, bodies and streams. Without it, a request counts as
// passed on if its answer is not one of the proxy's refusals.
package proxycheck

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/app/doctor"
	"github.com/mcpkeys/mcpkeys/internal/base/forwardauth"
	"github.com/mcpkeys/mcpkeys/keys"
)

// Subject is what to examine.
type Subject struct {
	URL      string       // where clients call
	Behind   net.Listener // in place of the server behind the proxy; Examine closes it. May be nil
	Keys     Keys
	Revoke   func(context.Context) error // revokes Keys.Valid; nil if it must not be revoked
	Patience time.Duration               // how long to wait for each answer, and for an event of a stream; 0 means 10 s
}

// Keys are the secrets to try. What an empty one is for is not tried.
type Keys struct {
	Valid     keys.Secret // the server behind accepts it
	Elsewhere keys.Secret // for another audience
	Admin     keys.Secret
	Narrow    keys.Secret // without the scope that the proxy demands
	Limited   keys.Secret // has one call left
}

// Check returns an error if the URL cannot be examined.
func (s *Subject) Check() error {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return keys.Invalid("proxy", "must be the URL that clients call, such as https://mcp.example.com/mcp")
	}
	return nil
}

// IsPlain reports whether the network can read what is sent to the URL.
func (s *Subject) IsPlain() bool {
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme == "https" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}

// Examine reports every finding to tell, and returns the worst state. The error is that of ctx,
// or of Revoke.
func Examine(ctx context.Context, s Subject, tell func(doctor.Finding)) (doctor.State, error) {
	if s.Patience == 0 {
		s.Patience = 10 * time.Second
	}
	report := tell
	tell = func(f doctor.Finding) {
		if ctx.Err() == nil { // else the end of ctx ended the request
			report(f)
		}
	}
	e := &examination{Subject: s, tell: tell, worst: doctor.OK, server: newServer(s.Patience)}
	if s.Behind != nil {
		defer e.server.serve(s.Behind)()
	}
	e.client = &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	first := e.ask(ctx, call{})
	if first.err != nil {
		e.bad("proxy", "name the URL that clients call, and start the proxy", "the proxy cannot be reached: %v", bare(first.err))
		return e.worst, ctx.Err()
	}
	e.refusals(ctx, first)
	e.validKey(ctx)
	e.limit(ctx)
	if err := cmp.Or(ctx.Err(), e.revoked(ctx)); err != nil {
		return e.worst, err
	}
	e.untried()
	return e.worst, nil
}

type examination struct {
	Subject
	tell   func(doctor.Finding)
	worst  doctor.State
	server *server
	client *http.Client
}

// What to change. Each names the line for nginx and for Caddy.
const (
	fixAsk = "let the proxy ask /v1/forward-auth?audience=NAME, with the server's own name, about every request: " +
		"auth_request in nginx, forward_auth in Caddy; /v1/whoami is not for proxies"
	fixMethod    = "let the proxy ask for every method: in nginx leave out limit_except around auth_request, in Caddy a matcher for methods"
	fixURL       = "the URL of /v1/forward-auth in the proxy is not valid: name one audience, at most one scope, and deny only as 403"
	fixPath      = "name the URL that clients call, and ask /v1/forward-auth of keyctl serve in the proxy"
	fixReach     = "start keyctl serve and the MCP server, and name their addresses in the proxy"
	fixDeny      = "nginx makes 500 of answers other than 401 and 403: add deny=403 to its URL of /v1/forward-auth"
	fixCode      = "nginx: auth_request_set $code $upstream_http_x_mcpkeys_code; and error_page 403 = @denied, which returns 429 for rate_limited"
	fixChallenge = "let WWW-Authenticate through to clients. nginx: proxy_pass_header;  APISIX: client_headers;  Envoy: leave out allowed_client_headers"
	fixWait      = "let Retry-After through to clients. nginx: auth_request_set $wait $upstream_http_retry_after; add_header Retry-After $wait always;"
	fixKey       = "remove the key behind the proxy. nginx: proxy_set_header %[1]s \"\";  Caddy: request_header -%[1]s, after forward_auth"
	fixIdentity  = "overwrite it. nginx: proxy_set_header %[1]s with the variable of auth_request_set;  Caddy: copy_headers %[1]s"
	fixLookalike = "remove headers with underscores. nginx: underscores_in_headers off;  Caddy: request_header -X-Mcpkeys* and request_header -X_Mcpkeys*, before forward_auth"
	fixBody      = "pass bodies on to the server; only the request to /v1/forward-auth has none (proxy_pass_request_body off; belongs there)"
	fixStream    = "do not buffer answers. nginx: proxy_buffering off;  Caddy: flush_interval -1"
	fixCache     = "do not keep answers of /v1/forward-auth: leave out proxy_cache in nginx"
)

const noKey = "not-a-key"

// refusals plays what must not pass. First is the answer to a request without a key.
func (e *examination) refusals(ctx context.Context, first reply) {
	e.refused("no-key", "a request without a key", first, http.StatusUnauthorized, fixAsk)
	e.refused("invalid-key", "an invalid key", e.ask(ctx, call{key: noKey}), http.StatusUnauthorized, fixAsk)
	e.refused("two-keys", "a request with two keys", e.ask(ctx, call{key: noKey, second: noKey}), http.StatusBadRequest, fixAsk)
	e.refused("head", "HEAD without a key", e.ask(ctx, call{method: http.MethodHead}), http.StatusUnauthorized, fixMethod)
	e.refused("options", "OPTIONS without a key", e.ask(ctx, call{method: http.MethodOptions}), http.StatusUnauthorized,
		fixMethod+"; if the proxy answers preflights itself, nothing is wrong")
	if k := e.Keys.Elsewhere; !k.IsZero() {
		e.refused("audience", "a key for another server", e.ask(ctx, call{key: k.Reveal()}), http.StatusUnauthorized, fixAsk)
	}
	if k := e.Keys.Admin; !k.IsZero() {
		e.refused("admin-key", "an admin key", e.ask(ctx, call{key: k.Reveal()}), http.StatusUnauthorized, fixAsk)
	}
	if k := e.Keys.Narrow; !k.IsZero() {
		e.refused("scope", "a key without the scope", e.ask(ctx, call{key: k.Reveal()}), http.StatusForbidden,
			"add the scope to the proxy's URL: /v1/forward-auth?audience=NAME&scope=SCOPE")
	}
}

// refused reports whether the proxy refused a request with the status want. Leak is what to do
// if the request passed.
func (e *examination) refused(check, what string, r reply, want int, leak string) {
	switch {
	case r.err != nil:
		e.bad(check, fixReach, "%s gets no answer: %v", what, bare(r.err))
	case r.passed(e.Behind != nil, want):
		e.bad(check, leak, "%s reaches the server", what)
	case r.status != want:
		e.wrongStatus(check, what, r.status, want)
	case want == http.StatusUnauthorized && r.header.Get("WWW-Authenticate") == "":
		e.bad(check, fixChallenge, "%s gets 401 without WWW-Authenticate, so clients do not learn that they need a key", what)
	default:
		e.ok(check, "%s gets %d", what, want)
	}
}

func (e *examination) wrongStatus(check, what string, got, want int) {
	text := fmt.Sprintf("%s gets %d, not %d", what, got, want)
	switch {
	case got == http.StatusUnprocessableEntity:
		e.bad(check, fixURL, "%s", text)
	case got == http.StatusNotFound:
		e.bad(check, fixPath, "%s", text)
	case got == http.StatusForbidden && want == http.StatusTooManyRequests:
		e.bad(check, fixCode, "%s", text)
	case got == http.StatusForbidden && want == http.StatusBadRequest:
		e.warn(check, strings.ReplaceAll(strings.ReplaceAll(fixCode, "429", "400"), "rate_limited", "two_credentials"), "%s", text)
	case got == http.StatusInternalServerError, // and nginx with an error_page for 500:
		got == http.StatusServiceUnavailable && (want == http.StatusBadRequest || want == http.StatusTooManyRequests):
		e.bad(check, fixDeny+"; if it has that, "+fixReach, "%s", text)
	case got > http.StatusInternalServerError:
		e.bad(check, fixReach, "%s", text)
	case want == http.StatusOK:
		e.bad(check, "compare the audience and the scope in the proxy's URL of /v1/forward-auth with those of the key, and the key store of keyctl serve with yours", "%s", text)
	default:
		e.bad(check, "pass the answer of /v1/forward-auth on as it is", "%s", text)
	}
}

// validKey plays a valid key: it must pass, and the server must not see more than it should.
func (e *examination) validKey(ctx context.Context) {
	if e.Keys.Valid.IsZero() {
		return
	}
	valid := e.Keys.Valid.Reveal()
	r := e.ask(ctx, call{method: http.MethodPost, key: valid, body: ping, forge: true})
	if !e.allowed("valid-key", "a valid key", r) {
		return
	}
	e.allowed("head-valid", "HEAD with a valid key", e.ask(ctx, call{method: http.MethodHead, key: valid}))
	second := e.ask(ctx, call{method: http.MethodPost, second: valid, body: ping})
	if second.err == nil && second.status == http.StatusUnauthorized {
		e.warn("x-api-key", "let the proxy send X-API-Key to /v1/forward-auth: allowed_headers in Envoy, request_headers in APISIX",
			"a valid key in X-API-Key is refused")
	} else {
		e.allowed("x-api-key", "a valid key in X-API-Key", second)
	}
	if e.Behind == nil {
		return
	}
	e.identity(r.arrived)
	e.secret("Authorization", r.arrived)
	e.secret("X-API-Key", second.arrived)
	if r.arrived.body != ping {
		e.bad("body", fixBody, "the body of a POST does not reach the server")
	} else {
		e.ok("body", "the body of a POST reaches the server")
	}
	e.stream(ctx)
}

// allowed reports whether the request passed.
func (e *examination) allowed(check, what string, r reply) bool {
	switch {
	case r.err != nil:
		e.bad(check, fixReach, "%s gets no answer: %v", what, bare(r.err))
	case !r.passed(e.Behind != nil, 0):
		e.wrongStatus(check, what, r.status, http.StatusOK)
	default:
		e.ok(check, "%s passes", what)
		return true
	}
	return false
}

func (e *examination) identity(got *arrival) {
	sound := true
	for _, name := range forwardauth.Headers() {
		if strings.Contains(strings.Join(got.header[name], " "), forged) {
			e.bad("identity", fmt.Sprintf(fixIdentity, name), "the server believes the %s that a client sends", name)
			sound = false
		}
	}
	for name, values := range got.header {
		if strings.Contains(name, "_") && strings.Contains(strings.Join(values, " "), forged) {
			e.bad("identity", fixLookalike, "headers with underscores, such as %s, reach the server, and it may take them for those with hyphens", lookalike(headerOwner))
			sound = false
			break
		}
	}
	id := got.header.Get(headerKeyID)
	t, err := keys.ParseToken(e.Keys.Valid.Reveal())
	switch {
	case !sound:
	case id == "":
		e.warn("identity", fmt.Sprintf(fixIdentity, headerKeyID), "the server does not learn which key calls; spoofed headers are removed")
	case err == nil && id != t.ID():
		e.bad("identity", fmt.Sprintf(fixIdentity, headerKeyID), "%s is not the id of the key", headerKeyID)
	default:
		e.ok("identity", "spoofed X-Mcpkeys-* headers are overwritten")
	}
}

// secret checks that the key, sent in the header name, did not reach the server.
func (e *examination) secret(name string, got *arrival) {
	if got == nil {
		return
	}
	for _, values := range got.header {
		if strings.Contains(strings.Join(values, " "), e.Keys.Valid.Reveal()) {
			e.bad("secret", fmt.Sprintf(fixKey, name), "the server sees the client's key in %s", name)
			return
		}
	}
	e.ok("secret", "the server does not see a key in %s", name)
}

func (e *examination) limit(ctx context.Context) {
	if e.Keys.Limited.IsZero() {
		return
	}
	key := e.Keys.Limited.Reveal()
	if r := e.ask(ctx, call{key: key}); !r.passed(e.Behind != nil, 0) {
		return // valid-key says why
	}
	r := e.ask(ctx, call{key: key})
	if r.err == nil && r.status == http.StatusTooManyRequests && r.arrived == nil && r.header.Get("Retry-After") == "" {
		e.bad("limit", fixWait, "a key over its rate limit gets 429 without Retry-After")
		return
	}
	e.refused("limit", "a key over its rate limit", r, http.StatusTooManyRequests, fixCache)
}

func (e *examination) revoked(ctx context.Context) error {
	if e.Keys.Valid.IsZero() || e.Revoke == nil {
		return nil
	}
	if err := e.Revoke(ctx); err != nil {
		return err
	}
	e.refused("revoked", "a key that was just revoked", e.ask(ctx, call{key: e.Keys.Valid.Reveal()}), http.StatusUnauthorized, fixCache)
	return nil
}

// untried says what was not played, and how to try it.
func (e *examination) untried() {
	switch {
	case e.Keys.Valid.IsZero():
		e.warn("untried", "add --audience NAME to make keys for ten minutes, or give one with --key FILE",
			"a valid key, a limited key, and keys for other servers were not tried")
	case e.Revoke == nil:
		e.warn("untried", "add --audience NAME instead of --key to make keys for ten minutes",
			"a limited, a revoked and an admin key, and one for another server were not tried")
	}
	if e.Behind == nil {
		e.warn("behind", "stop the MCP server and add --behind with its address: doctor listens there in its place",
			"what reaches the server was not seen: spoofed headers, the client's key, bodies and streams")
	}
	e.warn("outage", "stop keyctl serve and send a valid key: clients must get 503, and nothing may reach the server",
		"a stopped keyctl serve was not tried")
}

func (e *examination) report(f doctor.Finding) {
	if f.State == doctor.Problem || f.State == doctor.Warning && e.worst == doctor.OK {
		e.worst = f.State
	}
	e.tell(f)
}

func (e *examination) ok(check, says string, args ...any) {
	e.report(doctor.Finding{Check: check, State: doctor.OK, Says: fmt.Sprintf(says, args...)})
}

func (e *examination) warn(check, fix, says string, args ...any) {
	e.report(doctor.Finding{Check: check, State: doctor.Warning, Says: fmt.Sprintf(says, args...), Fix: fix})
}

func (e *examination) bad(check, fix, says string, args ...any) {
	e.report(doctor.Finding{Check: check, State: doctor.Problem, Says: fmt.Sprintf(says, args...), Fix: fix})
}
