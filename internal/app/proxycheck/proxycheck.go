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
	"github.com/mcpkeys/mcpkeys/internal/base/hostcheck"
	"github.com/mcpkeys/mcpkeys/internal/base/shell"
	"github.com/mcpkeys/mcpkeys/keys"
)

// Subject is what to examine.
type Subject struct {
	URL      string       // where clients call
	Behind   net.Listener // in place of the server behind the proxy; Examine closes it. May be nil
	Keys     Keys
	Left     []Left                      // checks for which there is no key
	Revoke   func(context.Context) error // revokes Keys.Valid; nil if it must not be revoked
	Patience time.Duration               // how long to wait for each answer, and for an event of a stream; 0 means 10 s
}

// Keys are the secrets to try. What an empty one is for is not tried.
type Keys struct {
	Valid     keys.Secret // the server behind accepts it
	Bare      keys.Secret // likewise, and it has no owner
	Bound     keys.Secret // likewise, for clients at [Subject.OtherAddresses]
	Elsewhere keys.Secret // for another audience
	Admin     keys.Secret
	Narrow    keys.Secret // without the scope that the proxy demands
	Limited   keys.Secret // has one call left
}

// Names of checks that need a key which the caller may not be able to make.
const (
	CheckAudience = "audience"  // Keys.Elsewhere
	CheckAdmin    = "admin-key" // Keys.Admin
	CheckAddress  = "address"   // Keys.Bound
)

// Left is a check that is left out.
type Left struct{ Check, Why, Fix string }

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
	return err == nil && u.Scheme != "https" && !hostcheck.ThisMachine(u.Hostname())
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
	e.client = client(nil)
	if e.far = e.client; s.isLoopback(ctx) {
		e.far = client(farAddress)
	}
	first := e.ask(ctx, call{})
	if first.err != nil {
		e.bad("proxy", "name the URL that clients call, and start the proxy", "the proxy cannot be reached: %v", bare(first.err))
		return e.worst, ctx.Err()
	}
	e.refusals(ctx, first)
	e.validKey(ctx)
	e.limit(ctx)
	e.address(ctx)
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
	far    *http.Client // calls from an address that is not of [Subject.OtherAddresses]
	open   bool         // an invalid key passes
	passes bool         // a valid key passes
}

func client(from net.Addr) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true,
			DialContext: (&net.Dialer{LocalAddr: from}).DialContext, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// What to change. Each names the line for nginx and for Caddy.
const (
	fixAsk = "let the proxy ask /v1/forward-auth?audience=NAME, with the server's own name, about every request: " +
		"auth_request in nginx, forward_auth in Caddy; /v1/whoami is not for proxies"
	fixMethod    = "let the proxy ask for every method: in nginx leave out limit_except around auth_request, in Caddy a matcher for methods"
	fixOptions   = fixMethod + "; or let it answer preflights itself"
	fixRedirect  = "if the URL has moved, name the new one; if it leads to a login page, let the proxy pass on the answer of /v1/forward-auth instead"
	fixURL       = "the URL of /v1/forward-auth in the proxy is not valid: name one audience, at most one scope, and deny only as 403"
	fixPath      = "name the URL that clients call, and ask /v1/forward-auth of keyctl serve in the proxy"
	fixReach     = "start keyctl serve and the MCP server, and name their addresses in the proxy"
	fixHidden    = "if both run, compare its URL of /v1/forward-auth with docs/forward-auth.md: for an invalid URL (422) or a wrong path (404), nginx answers in the same way"
	fixDeny      = "nginx makes 500 of answers other than 401 and 403: add deny=403 to its URL of /v1/forward-auth"
	fixCode      = "nginx: auth_request_set $code $upstream_http_x_mcpkeys_code; and error_page 403 = @denied, which returns 429 for rate_limited"
	fixChallenge = "let WWW-Authenticate through to clients. nginx: proxy_pass_header;  APISIX: client_headers;  Envoy: leave out allowed_client_headers"
	fixWait      = "let Retry-After through to clients. nginx: auth_request_set $wait $upstream_http_retry_after; add_header Retry-After $wait always;"
	fixKey       = "remove the key behind the proxy. nginx: proxy_set_header %[1]s \"\";  Caddy: request_header -%[1]s, after forward_auth"
	fixIdentity  = "overwrite it. nginx: proxy_set_header %[1]s with the variable of auth_request_set;  Caddy: copy_headers %[1]s"
	fixEmpty     = "remove it before the proxy asks. Caddy: request_header -X-Mcpkeys* before forward_auth;  nginx: proxy_set_header %[1]s with the variable of auth_request_set"
	fixProxy     = "start keyctl serve with --trusted-proxy and the address from which the proxy calls it, and let the proxy send the client's address: proxy_set_header X-Forwarded-For $remote_addr; in nginx"
	fixClaimed   = "let the proxy overwrite X-Forwarded-For, or append to it. nginx: proxy_set_header X-Forwarded-For $remote_addr;  Envoy: use_remote_address: true;  Caddy: leave out trusted_proxies"
	fixLookalike = "remove headers with underscores. nginx: underscores_in_headers off;  Caddy: request_header -X-Mcpkeys* and request_header -X_Mcpkeys*, before forward_auth"
	fixBody      = "pass bodies on to the server; only the request to /v1/forward-auth has none (proxy_pass_request_body off; belongs there)"
	fixStream    = "do not buffer answers. nginx: proxy_buffering off;  Caddy: flush_interval -1"
	fixCache     = "do not keep answers of /v1/forward-auth: leave out proxy_cache in nginx"
)

const noKey = "not-a-key"

// refusals plays what must not pass. First is the answer to a request without a key.
func (e *examination) refusals(ctx context.Context, first reply) {
	e.refused("no-key", "a request without a key", first, http.StatusUnauthorized, fixAsk)
	invalid := e.ask(ctx, call{key: noKey})
	e.open = invalid.passed(e.Behind != nil, http.StatusUnauthorized)
	e.refused("invalid-key", "an invalid key", invalid, http.StatusUnauthorized, fixAsk)
	e.refused("two-keys", "a request with two keys", e.ask(ctx, call{key: noKey, second: noKey}), http.StatusBadRequest, fixAsk)
	e.refused("head", "HEAD without a key", e.ask(ctx, call{method: http.MethodHead}), http.StatusUnauthorized, fixMethod)
	e.preflight("options", "OPTIONS without a key", e.ask(ctx, call{method: http.MethodOptions}))
	e.preflight("preflight", "a browser's preflight", e.ask(ctx, call{method: http.MethodOptions, header: map[string]string{
		"Origin": "https://keyctl-doctor.example", "Access-Control-Request-Method": http.MethodPost,
	}}))
	if k := e.Keys.Elsewhere; !k.IsZero() {
		e.refused(CheckAudience, "a key for another server", e.ask(ctx, call{key: k.Reveal()}), http.StatusUnauthorized, fixAsk)
	}
	if k := e.Keys.Admin; !k.IsZero() {
		e.refused(CheckAdmin, "an admin key", e.ask(ctx, call{key: k.Reveal()}), http.StatusUnauthorized, fixAsk)
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

// preflight reports on OPTIONS, which a proxy may answer itself.
func (e *examination) preflight(check, what string, r reply) {
	itself := r.err == nil && (r.status/100 == 2 || r.status == http.StatusMethodNotAllowed)
	switch {
	case itself && e.Behind != nil && r.arrived == nil:
		e.ok(check, "the proxy answers %s itself with %d", what, r.status)
	case itself && e.Behind == nil:
		e.warn(check, "add --behind to see which; if it is the server, "+fixOptions, "%s gets %d, from the proxy or from the server", what, r.status)
	default:
		e.refused(check, what, r, http.StatusUnauthorized, fixOptions)
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
	case got >= http.StatusInternalServerError:
		e.bad(check, fixOutage(got, want), "%s", text)
	case got >= http.StatusMultipleChoices && got < http.StatusBadRequest:
		e.bad(check, fixRedirect, "%s gets a redirect (%d): it is neither passed on nor refused", what, got)
	case want == http.StatusOK:
		e.bad(check, "compare the audience and the scope in the proxy's URL of /v1/forward-auth with those of the key, and the key store of keyctl serve with yours", "%s", text)
	default:
		e.bad(check, "pass the answer of /v1/forward-auth on as it is", "%s", text)
	}
}

// fixOutage is for a status of 500 and more. nginx makes 500 of every answer but 401 and 403, and
// a page for it may make 503 of that.
func fixOutage(got, want int) string {
	if got != http.StatusInternalServerError && got != http.StatusServiceUnavailable {
		return fixReach
	}
	fix := fixReach + "; " + fixHidden
	if want == http.StatusBadRequest || want == http.StatusTooManyRequests {
		return fixDeny + "; if it has that, " + fix
	}
	return fix
}

// untried says what was not played, and how to try it.
func (e *examination) untried() {
	for _, l := range e.Left {
		e.warn(l.Check, l.Fix, "not tried: %s", l.Why)
	}
	switch {
	case e.Keys.Valid.IsZero():
		e.warn("untried", "add --audience NAME to make keys for ten minutes, or give one with --key FILE",
			"a valid key, a limited key, and keys for other servers and for other addresses were not tried")
	case e.Revoke == nil:
		e.warn("untried", "add --audience NAME instead of --key to make keys for ten minutes",
			"a limited, a revoked and an admin key, and keys for another server, for other addresses and without an owner were not tried")
	}
	if e.Behind == nil {
		e.warn("behind", "stop the MCP server and add --behind with its address: doctor listens there in its place",
			"what reaches the server was not seen: spoofed headers, the client's key, bodies and streams")
	}
	e.warn("outage", fmt.Sprintf("stop keyctl serve and run: curl -si -H @FILE %s; it must print 503. FILE has the line Authorization: Bearer KEY. "+
		"To try a key store that cannot be read, see Try an outage in docs/forward-auth.md", shell.Quote(e.URL)),
		"not tried: an outage, in which keyctl serve does not run or cannot read its key store")
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
