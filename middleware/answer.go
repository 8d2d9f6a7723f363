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

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// answer is what a caller hears about one code.
type answer struct {
	status    int
	code      string // as the caller is told, which is less than the log is
	challenge string // parameters of WWW-Authenticate after the realm; "" is the realm alone
	silent    bool   // no WWW-Authenticate at all
	detail    string
}

var invalidToken = answer{
	status: http.StatusUnauthorized, code: "invalid_token", challenge: `, error="invalid_token"`,
	detail: "The API key is not valid for this server. Ask whoever issued it for a current one.",
}

// answers is the whole translation from decision to HTTP. What is not in it is
// answered like unavailable.
var answers = map[keys.Code]answer{
	keys.CodeNoCredential: {
		status: http.StatusUnauthorized, code: "no_credential",
		detail: "Authentication is required: send an API key as Authorization: Bearer KEY, or as X-API-Key: KEY.",
	},
	keys.CodeTwoCredentials: {
		status: http.StatusBadRequest, code: "two_credentials", challenge: `, error="invalid_request"`,
		detail: "Send exactly one API key, in exactly one header.",
	},
	keys.CodeMalformed:     invalidToken,
	keys.CodeNotFound:      invalidToken,
	keys.CodeRevoked:       invalidToken,
	keys.CodeDisabled:      invalidToken,
	keys.CodeExpired:       invalidToken,
	keys.CodeWrongKind:     invalidToken,
	keys.CodeWrongAudience: invalidToken,
	keys.CodeIPNotAllowed: {
		status: http.StatusForbidden, code: "forbidden", silent: true,
		detail: "This call is not allowed.",
	},
	keys.CodeInsufficientScope: {
		status: http.StatusForbidden, code: "insufficient_scope", challenge: `, error="insufficient_scope", scope="%s"`,
		detail: "The API key was not granted all that this call needs: %s.",
	},
	keys.CodeRateLimited: {
		status: http.StatusTooManyRequests, code: "rate_limited", silent: true,
		detail: "Too many calls with this API key.",
	},
	keys.CodeUnavailable: unavailable,
}

var unavailable = answer{
	status: http.StatusServiceUnavailable, code: "unavailable", silent: true,
	detail: "API keys cannot be checked right now.",
}

// sourceLimited is the one on unknown keys from one address: nobody's limit, so there is
// no policy to tell, and a caller whose own key is fine should not look for fault in it.
var sourceLimited = answer{
	status: http.StatusTooManyRequests, code: "rate_limited", silent: true,
	detail: "Too many calls from this address.",
}

// answerTo falls back on unavailable.
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

// after says in a header and in the sentence when to come back: a model is shown the
// sentence alone.
func (a answer) after(w http.ResponseWriter, wait time.Duration) answer {
	w.Header().Set("Retry-After", retryAfter(wait))
	a.detail += " " + CallAgain(wait)
	return a
}

// CallAgain is the sentence that says when to come back.
func CallAgain(wait time.Duration) string {
	if n := retryAfter(wait); n != "1" {
		return "Call again in " + n + " seconds."
	}
	return "Call again in 1 second."
}

// refuse answers a request that may not proceed, and logs why.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, d keys.Decision, call verifier.Call) {
	g.log(r, d, call.ClientIP)
	g.sample(d, call)
	a := answerTo(&d)
	if d.Lacks != nil && d.Code == keys.CodeInsufficientScope {
		needed := strings.Join(d.Lacks.Required, " ")
		a.challenge, a.detail = fmt.Sprintf(a.challenge, needed), fmt.Sprintf(a.detail, needed)
	}
	if !a.silent {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`%s realm="%s"%s`, bearer, g.realm, a.challenge))
	}
	if a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable {
		a = a.after(w, d.RetryAfter)
	}
	Problem{Status: a.status, Code: a.code, Detail: a.detail}.Write(w, r)
}

// Refuse answers r with p and logs it like the refusals of [Guard.Admit]. It is for
// what an adapter refuses for reasons of its own, such as a foreign Origin. The
// credentials are gone from r.Header afterwards, as after Admit. What the guard found out
// about a caller whom it admitted stands in the line.
func (g *Guard) Refuse(w http.ResponseWriter, r *http.Request, p Problem) {
	if a := g.admitted(r.Context()); a != nil {
		g.log(r, a.decision.Refuse(keys.Code(p.Code)), a.ip)
		p.Write(w, r)
		return
	}
	var ip netip.Addr
	if g != nil {
		ip = g.proxies.clientIP(r)
		_, _ = g.headers.take(r.Header) // nobody was asked for them, and nobody shall find them
	}
	r = identified(r)
	g.log(r, keys.Decision{Code: keys.Code(p.Code)}, ip)
	p.Write(w, r)
}

// log writes the one line of a refusal. The query is left out.
func (g *Guard) log(r *http.Request, d keys.Decision, ip netip.Addr) {
	g.logRefusal(r.Context(), d,
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.String(attrIP, ip.String()))
}

// maxLogged is how much of one text that a caller chose is logged, in bytes.
const maxLogged = 256

// LogRefusal writes one line about a refusal to [Options.Logger], with the request's id
// from ctx. It is for what adapters refuse for reasons of their own, within a protocol of
// their own; what is decided on a key is logged where it is decided, by [Guard.Admit] and
// [Guard.Judge]. What the guard found out about the caller, if ctx is of a request that it
// admitted, stands in the line. Cause, which may be nil, makes it an error. Texts among
// attrs are cut, and left out when they hold a key: people paste keys anywhere.
//
// Of refusals with one code, one key and one remote_ip, ten a minute are logged, and the
// others as a number when the minute is over: a flood must not fill the disk.
func (g *Guard) LogRefusal(ctx context.Context, code keys.Code, cause error, attrs ...slog.Attr) {
	d := keys.Decision{Code: code}
	if a := g.admitted(ctx); a != nil {
		d = a.decision.Refuse(code)
		attrs = append(attrs, slog.String(attrIP, a.ip.String()))
	}
	d.Cause = cause
	g.logRefusal(ctx, d, attrs...)
}

// logRefusal writes the line of a decision.
func (g *Guard) logRefusal(ctx context.Context, d keys.Decision, attrs ...slog.Attr) {
	if g == nil || g.logger == nil || !g.logger.Enabled(ctx, slog.LevelError) {
		return
	}
	if !g.limit.lets(logKind{d.Code, strings.Clone(d.KeyID), sourceIn(attrs)}, g.logger) {
		return
	}
	level := slog.LevelInfo
	line := []slog.Attr{
		slog.String("code", string(d.Code)),
		slog.String("key_id", d.KeyID),
		slog.Bool("proved", d.Proved()),
		slog.String("request_id", keys.RequestIDFrom(ctx)),
	}
	for _, a := range append(attrs, lackIn(d)...) {
		line = append(line, slog.String(a.Key, loggable(a.Value.String())))
	}
	if d.Cause != nil {
		level = slog.LevelError
		line = append(line, slog.Any("error", d.Cause))
	}
	g.logger.LogAttrs(ctx, level, "request refused", line...)
}

// lackIn is what a good key was asked for in vain.
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

// sourceIn is where the call comes from, if attrs tell.
func sourceIn(attrs []slog.Attr) netip.Prefix {
	for _, a := range attrs {
		if a.Key == attrIP {
			ip, _ := netip.ParseAddr(a.Value.String()) // or it is not known
			return keys.SourceOf(ip)
		}
	}
	return netip.Prefix{}
}

const attrIP = "remote_ip"

func loggable(text string) string {
	if keys.LooksLikeToken(text) {
		return "[redacted]"
	}
	if len(text) > maxLogged {
		return text[:maxLogged] + "..."
	}
	return text
}

// Problem is an error answer in the form of RFC 9457, with the members code and
// request_id added. Its type is about:blank and its title that of the status.
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

// Write sends the problem as the whole answer to r: to a HEAD without its body. What is
// left of r's body must arrive soon, see [HurryBody].
func (p Problem) Write(w http.ResponseWriter, r *http.Request) {
	HurryBody(w, r)
	id := keys.RequestIDFrom(r.Context())
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
		_, _ = w.Write(body) // who hung up hears nothing
	}
}

const headerRequestID = "X-Request-Id"

// Identify returns r with its request id in the context: the one that r brings, if
// it is fit to be logged, else a fresh one, which then stands in r.Header too, so
// that a guard further on keeps it. [Guard.Admit] does as much by itself; call it
// first in a program that logs or answers outside of its guards.
func Identify(r *http.Request) *http.Request {
	r = identified(r)
	r.Header[headerRequestID] = []string{keys.RequestIDFrom(r.Context())}
	return r
}

// identified notes the id that the request brings, if it is one, once, and fit to be
// logged; else a fresh one.
func identified(r *http.Request) *http.Request {
	return r.WithContext(keys.WithRequestID(r.Context(), keys.RequestIDOr(givenID(r))))
}

// givenID is what the request calls itself, once.
func givenID(r *http.Request) string {
	if given := r.Header[headerRequestID]; len(given) == 1 {
		return given[0]
	}
	return ""
}
