package middleware

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/loglimit"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// answer is what a caller gets for one code.
type answer struct {
	status    int
	code      string // for the caller, who is told less than the log
	challenge string // the error parameter of WWW-Authenticate; "" is none
	silent    bool   // no WWW-Authenticate at all
	detail    string
	waits     bool // Retry-After and a second sentence of detail say when to try again
}

var invalidToken = answer{
	status: http.StatusUnauthorized, code: "invalid_token", challenge: "invalid_token",
	detail: "The API key is not valid for this server. Ask the person who issued it for a current one.",
}

// answers is the complete translation from decision to HTTP. A code that is not in it is
// answered like unavailable.
var answers = map[keys.Code]answer{
	keys.CodeNoCredential: {
		status: http.StatusUnauthorized, code: "no_credential",
		detail: "Authentication is required: send an API key as Authorization: Bearer KEY, or as X-API-Key: KEY.",
	},
	keys.CodeTwoCredentials: {
		status: http.StatusBadRequest, code: "two_credentials", challenge: "invalid_request",
		detail: "Send exactly one API key, in exactly one header.",
	},
	keys.CodeMalformed:     invalidToken,
	keys.CodeNotFound:      invalidToken,
	keys.CodeRevoked:       invalidToken,
	keys.CodeDisabled:      invalidToken,
	keys.CodeExpired:       invalidToken,
	keys.CodeSuperseded:    invalidToken,
	keys.CodeWrongKind:     invalidToken,
	keys.CodeWrongAudience: invalidToken,
	keys.CodeIPNotAllowed: {
		status: http.StatusForbidden, code: "forbidden", silent: true,
		detail: "This call is not allowed.",
	},
	keys.CodeInsufficientScope: {
		status: http.StatusForbidden, code: insufficientScope, challenge: insufficientScope,
		detail: "The API key was not granted all that this call needs: ",
	},
	keys.CodeRateLimited: {
		status: http.StatusTooManyRequests, code: "rate_limited", silent: true, waits: true,
		detail: "Too many calls with this API key.",
	},
	keys.CodeUnavailable: unavailable,
}

var unavailable = answer{
	status: http.StatusServiceUnavailable, code: "unavailable", silent: true, waits: true,
	detail: "API keys cannot be checked right now.",
}

// sourceLimited is for the limit on unknown keys from one address. It belongs to no key, so no
// policy is sent, and the text does not blame the caller's key.
var sourceLimited = answer{
	status: http.StatusTooManyRequests, code: "rate_limited", silent: true, waits: true,
	detail: "Too many calls from this address.",
}

// answerTo returns unavailable for an unknown code.
func answerTo(d *keys.Decision) answer {
	a, ok := answers[d.Code]
	switch {
	case !ok:
		return unavailable
	case d.Code == keys.CodeRateLimited && d.Limit.IsZero():
		return sourceLimited
	}
	return a
}

// refuse answers a request that is refused, and logs why.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, d keys.Decision, call verifier.Call) {
	g.log(r, d, call.ClientIP)
	g.sample(d, call)
	var scopes []string
	if d.Lacks != nil && d.Code == keys.CodeInsufficientScope {
		scopes = d.Lacks.Required
	}
	g.tell(w, r, answerTo(&d), scopes, d.RetryAfter)
}

// tell writes the answer a to r. scopes are the needed scopes, and wait is how long the caller
// must wait.
func (g *Guard) tell(w http.ResponseWriter, r *http.Request, a answer, scopes []string, wait time.Duration) {
	needed := strings.Join(scopes, " ")
	if a.challenge == insufficientScope {
		a.detail += needed + "."
	}
	if a.waits {
		w.Header().Set("Retry-After", retryAfter(wait))
		a.detail += " " + TryAgain(wait)
	}
	if !a.silent {
		w.Header().Set("WWW-Authenticate", g.challenge(&a, needed))
	}
	if g != nil {
		g.proxied.mark(w.Header(), &a)
	}
	Problem{Status: a.status, Code: a.code, Detail: a.detail}.Write(w, r)
}

const insufficientScope = "insufficient_scope"

// challenge is the WWW-Authenticate of a, after RFC 6750. Some clients show nothing else of a
// refusal, so its description is the detail of the body.
func (g *Guard) challenge(a *answer, needed string) string {
	b := strings.Builder{}
	fmt.Fprintf(&b, `%s realm="%s"`, bearer, g.realm)
	if a.challenge != "" {
		fmt.Fprintf(&b, `, error="%s"`, a.challenge)
	}
	if a.challenge == insufficientScope {
		fmt.Fprintf(&b, `, scope="%s"`, quotable(needed))
	}
	fmt.Fprintf(&b, `, error_description="%s"`, quotable(a.detail))
	return b.String()
}

// quotable makes text safe between quotes in a header. Characters that RFC 6750 allows stay;
// scopes that an adapter names may contain anything.
func quotable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < ' ' || r > '~' || r == '\\':
			return '?'
		}
		return r
	}, text)
}

// Refuse answers r with p and logs it like the refusals of [Guard.Admit]. Call it to refuse for
// an adapter's own reasons, such as a foreign Origin. It removes the credentials from r.Header,
// as Admit does. The line includes what the guard knows about an admitted caller, and attrs,
// treated as by [Guard.LogRefusal].
func (g *Guard) Refuse(w http.ResponseWriter, r *http.Request, p Problem, attrs ...slog.Attr) {
	p.Write(w, g.Refused(r, keys.Code(p.Code), attrs...))
}

// Refused is [Guard.Refuse] for an answer of another form, which the caller writes for the
// returned request.
func (g *Guard) Refused(r *http.Request, code keys.Code, attrs ...slog.Attr) *http.Request {
	if a := g.admitted(r.Context()); a != nil {
		g.log(r, a.decision.Refuse(code), a.ip, attrs...)
		return r
	}
	var ip netip.Addr
	if g != nil {
		ip = g.proxies.clientIP(r)
		_, _ = g.headers.take(r.Header) // only removes credentials, so that no later code finds them
	}
	r = identified(r)
	g.log(r, keys.Decision{Code: code}, ip, attrs...)
	return r
}

// log writes the one line of a refusal. The query is left out.
func (g *Guard) log(r *http.Request, d keys.Decision, ip netip.Addr, attrs ...slog.Attr) {
	g.logRefusal(r.Context(), d, append([]slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path), addressAttr(ip),
	}, attrs...)...)
}

// maxLogged is how many bytes of one text that a caller chose are logged.
const maxLogged = 256

// LogRefusal writes one line about a refusal to [Options.Logger], with the request's id from
// ctx. Call it for what an adapter refuses for its own reasons, in its own protocol; decisions
// about a key are logged by [Guard.Admit] and [Guard.Judge]. If ctx is of a request that the
// guard admitted, the line includes what is known about the caller. A cause, which may be nil,
// makes it an error. Texts in attrs are cut, and left out if they contain a key, because people
// paste keys anywhere.
//
// For refusals with one code, key and remote_ip, ten a minute are logged, and the number of the
// others when the minute is over, so that a flood does not fill the disk.
func (g *Guard) LogRefusal(ctx context.Context, code keys.Code, cause error, attrs ...slog.Attr) {
	d := keys.Decision{Code: code}
	if a := g.admitted(ctx); a != nil {
		d = a.decision.Refuse(code)
		attrs = append(attrs, addressAttr(a.ip))
	}
	d.Cause = cause
	g.logRefusal(ctx, d, attrs...)
}

// logRefusal writes the line of a decision.
func (g *Guard) logRefusal(ctx context.Context, d keys.Decision, attrs ...slog.Attr) {
	if g == nil || g.logger == nil || !g.logger.Enabled(ctx, slog.LevelError) {
		return
	}
	if !g.limit.Lets(loglimit.Kind{Code: d.Code, KeyID: strings.Clone(d.KeyID), Source: sourceIn(attrs)}, g.logger) {
		return
	}
	level := slog.LevelInfo
	line := []slog.Attr{
		slog.String("code", string(d.Code)),
		slog.String("key_id", d.KeyID),
		slog.Bool("proved", d.Proved()),
		slog.String("request_id", requestid.From(ctx)),
	}
	for _, a := range append(attrs, lackIn(d)...) {
		line = append(line, slog.String(a.Key, loggable(a.Value.String())))
	}
	if d.Flaw != "" {
		line = append(line, slog.String("flaw", d.Flaw))
	}
	if d.Cause != nil {
		level = slog.LevelError
		line = append(line, slog.Any("error", d.Cause))
	}
	g.logger.LogAttrs(ctx, level, "request refused", line...)
}

// lackIn is what a valid key lacked.
func lackIn(d keys.Decision) []slog.Attr {
	switch {
	case d.Lacks == nil:
		return nil
	case d.Code == keys.CodeWrongAudience:
		return []slog.Attr{
			slog.String("audience", d.Lacks.Audience),
			slog.String("key_audience", strings.Join(d.Lacks.Offered, " ")),
		}
	}
	return []slog.Attr{
		slog.String("scope", strings.Join(d.Lacks.Required, " ")),
		slog.String("missing_scope", strings.Join(d.Lacks.Missing, " ")),
	}
}

// sourceIn is the client's address, if attrs have it.
func sourceIn(attrs []slog.Attr) netip.Prefix {
	for _, a := range attrs {
		if a.Key == attrIP {
			ip, _ := netip.ParseAddr(a.Value.String()) // zero if it is not known
			return usage.SourceOf(ip)
		}
	}
	return netip.Prefix{}
}

const attrIP = "remote_ip"

// addressAttr is the client's address; empty if it is not known, as of a Unix socket.
func addressAttr(ip netip.Addr) slog.Attr {
	if !ip.IsValid() {
		return slog.String(attrIP, "")
	}
	return slog.String(attrIP, ip.String())
}

func loggable(text string) string {
	if keys.LooksLikeToken(text) {
		return "[redacted]"
	}
	if len(text) > maxLogged {
		return text[:maxLogged] + "..."
	}
	return text
}

// Problem is an error answer in the form of RFC 9457, with the members code and request_id. Its
// type is about:blank, and its title is that of the status.
type Problem struct {
	Status int
	Code   string // one word for programs
	Detail string // one sentence for people; never a reason that helps an attacker
	Errors []FieldError
}

// FieldError says what is wrong with one field of a request, without its value.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Write sends the problem as the whole answer to r, without a body for HEAD. The rest of r's
// body must arrive soon, see [HurryBody].
func (p Problem) Write(w http.ResponseWriter, r *http.Request) {
	HurryBody(w, r)
	id := requestid.From(r.Context())
	body, _ := json.Marshal(struct { // strings and a number: nothing that could fail
		Type      string       `json:"type"`
		Title     string       `json:"title"`
		Status    int          `json:"status"`
		Detail    string       `json:"detail"`
		Code      string       `json:"code"`
		RequestID string       `json:"request_id"`
		Errors    []FieldError `json:"errors,omitempty"`
	}{"about:blank", http.StatusText(p.Status), p.Status, p.Detail, p.Code, id, p.Errors})
	body = append(body, '\n')
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(headerRequestID, id)
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone
	}
}

const headerRequestID = "X-Request-Id"

// Identify returns r with its request id in the context: the one that r has, if it may be
// logged, otherwise a new one, which is then also set in r.Header, so that a later guard keeps
// it. [Guard.Admit] does so itself; call Identify first in a program that logs or answers
// outside of its guards.
func Identify(r *http.Request) *http.Request {
	r = identified(r)
	r.Header[headerRequestID] = []string{requestid.From(r.Context())}
	return r
}

// identified notes the id that the request has, if it has exactly one that may be logged;
// otherwise a new one.
func identified(r *http.Request) *http.Request {
	return r.WithContext(requestid.With(r.Context(), requestid.Or(givenID(r))))
}

// givenID is the id that the request has, if it has exactly one.
func givenID(r *http.Request) string {
	if given := r.Header[headerRequestID]; len(given) == 1 {
		return given[0]
	}
	return ""
}
