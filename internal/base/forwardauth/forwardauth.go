// Package forwardauth answers proxies that ask, for each request of a client, whether to pass it
// on: nginx auth_request, Caddy forward_auth, Traefik ForwardAuth, Envoy ext_authz. `keyctl
// serve` mounts it at [Prefix]; package verifyapi has it for other programs.
//
// The proxy sends the client's headers, and the key among them decides. Its own settings are in
// the URL that the operator writes into the proxy's configuration:
//
//	/v1/forward-auth/a/AUDIENCE[/s/SCOPE][/d/403]/-/   nothing after /-/ is read, nor the query
//	/v1/forward-auth?audience=AUDIENCE[&scope=SCOPE][&deny=403]
//
// The first form is for proxies that append the client's path, such as Envoy. Settings are never
// read from headers, which the client may have sent.
//
// The answer to any method is 200 with the identity headers (package idheader), or a denial, which the
// guard of package middleware writes. The package never reads a body, and does not look at Host
// and Origin, which are the client's.
package forwardauth

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/idheader"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// Prefix is the path of all requests: itself, and what comes after it and a slash.
const Prefix = "/v1/forward-auth"

// Is reports whether r is for this package.
func Is(r *http.Request) bool {
	rest, ok := strings.CutPrefix(sent(r.URL), Prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// Handler answers requests for which [Is] is true. Guard decides; it must be for ordinary keys.
func Handler(guard *middleware.Guard) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := parse(r.URL)
		var own *middleware.Guard
		if err == nil {
			own, err = guard.ForProxy(s.audience, s.only403)
		}
		if err == nil {
			s.decide(w, r, own)
			return
		}
		p := middleware.Problem{
			Status: http.StatusUnprocessableEntity, Code: api.CodeInvalidArgument,
			Detail: "The proxy's URL for " + Prefix + " is not valid: it needs one audience, at most one scope without wildcards, and deny only as 403.",
		}
		for _, f := range keys.Faults(err) {
			p.Errors = append(p.Errors, middleware.FieldError{Field: f.Field, Message: f.Reason})
		}
		w.Header().Set("X-Mcpkeys-Code", p.Code)
		guard.Refuse(w, middleware.Identify(r), p)
	})
}

// settings are what the operator wrote into the URL.
type settings struct {
	audience string
	scopes   []string // none or one
	only403  bool
}

func (s *settings) decide(w http.ResponseWriter, r *http.Request, guard *middleware.Guard) {
	r, ok := guard.Admit(w, r, s.scopes...)
	if !ok {
		return
	}
	i, _ := keys.IdentityFrom(r.Context())
	h := w.Header()
	idheader.Set(h, i, s.audience)
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Length"] = []string{"0"}
	w.WriteHeader(http.StatusOK) // Envoy takes 204 for a denial
}

// sent is the path as it was sent. [url.URL.EscapedPath] alone would encode all of it again if the
// client's part has characters that need an encoding: then %2F in the operator's part becomes a
// slash.
func sent(u *url.URL) string { return cmp.Or(u.RawPath, u.EscapedPath()) }

// The faults of a URL. Clients get these texts, so they repeat nothing of it.
var (
	errPath  = keys.Invalid("path", "must be %s/a/AUDIENCE[/s/SCOPE][/d/403]/-/, with percent-encoded values", Prefix)
	errQuery = keys.Invalid("query", "must have audience, scope and deny only, with percent-encoded values")
)

func parse(u *url.URL) (settings, error) {
	rest := strings.TrimPrefix(sent(u), Prefix)
	if rest == "" {
		return parseQuery(u.RawQuery)
	}
	return parsePath(rest[1:])
}

// parsePath reads the segments up to "-". A value may have slashes as %2F.
func parsePath(path string) (s settings, err error) {
	given := map[string]string{}
	for {
		var name, value string
		var more bool
		name, path, more = strings.Cut(path, "/")
		if name == "-" {
			return fill(given)
		}
		if !more {
			return s, errPath
		}
		value, path, more = strings.Cut(path, "/")
		if value, err = url.PathUnescape(value); err != nil || !more {
			return s, errPath
		}
		if _, twice := given[name]; twice || value == "." || value == ".." {
			return s, errPath
		}
		given[name] = value
	}
}

func parseQuery(query string) (s settings, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return s, errQuery
	}
	names := map[string]string{"audience": "a", "scope": "s", "deny": "d"}
	given := map[string]string{}
	for name, list := range values {
		short, known := names[name]
		if !known {
			return s, errQuery
		}
		if len(list) > 1 {
			return s, keys.Invalid(name, "must not be given twice")
		}
		given[short] = list[0]
	}
	return fill(given)
}

// fill makes settings of the values by their short names. The error names every fault.
func fill(given map[string]string) (s settings, err error) {
	for name := range given {
		if name != "a" && name != "s" && name != "d" {
			return s, errPath
		}
	}
	s.audience = given["a"]
	if s.audience == "" {
		err = keys.Invalid("audience", "is required")
	} else {
		err = named("audience", keys.ValidateAudience(s.audience))
	}
	if scope, ok := given["s"]; ok {
		s.scopes, err = []string{scope}, errors.Join(err, named("scope", keys.ValidateRequired(scope)))
	}
	if deny, ok := given["d"]; ok {
		if s.only403 = deny == "403"; !s.only403 {
			err = errors.Join(err, keys.Invalid("deny", "must be 403"))
		}
	}
	return s, err
}

// named makes err one about that setting.
func named(setting string, err error) error {
	if invalid := (*keys.InvalidError)(nil); errors.As(err, &invalid) {
		return keys.Invalid(setting, "%s", invalid.Reason)
	}
	return err
}
