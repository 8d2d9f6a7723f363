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
		if err == nil {
			guard, err := guard.ForProxy(s.audience, s.only403)
			if err == nil {
				s.decide(w, r, guard)
				return
			}
		}
		w.Header().Set("X-Mcpkeys-Code", api.CodeInvalidArgument)
		guard.Refuse(w, middleware.Identify(r), middleware.Problem{
			Status: http.StatusUnprocessableEntity, Code: api.CodeInvalidArgument,
			Detail: "The proxy's URL for " + Prefix + " is not valid: it needs one audience, at most one scope without wildcards, and deny only as 403.",
		})
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

var errURL = keys.Invalid("url", "is not one that the package comment describes")

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
			return s, errURL
		}
		value, path, more = strings.Cut(path, "/")
		if value, err = url.PathUnescape(value); err != nil || !more {
			return s, errURL
		}
		if _, twice := given[name]; twice || value == "." || value == ".." {
			return s, errURL
		}
		given[name] = value
	}
}

func parseQuery(query string) (s settings, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return s, errURL
	}
	names := map[string]string{"audience": "a", "scope": "s", "deny": "d"}
	given := map[string]string{}
	for name, list := range values {
		short, known := names[name]
		if !known || len(list) > 1 {
			return s, errURL
		}
		given[short] = list[0]
	}
	return fill(given)
}

// fill makes settings of the values by their short names.
func fill(given map[string]string) (s settings, err error) {
	for name, value := range given {
		switch {
		case name == "a":
			s.audience, err = value, keys.ValidateAudience(value)
		case name == "s":
			s.scopes, err = []string{value}, keys.ValidateRequired(value)
		case name == "d" && value == "403":
			s.only403 = true
		default:
			return s, errURL
		}
		if err != nil {
			return s, err
		}
	}
	if s.audience == "" {
		return s, errURL
	}
	return s, nil
}
