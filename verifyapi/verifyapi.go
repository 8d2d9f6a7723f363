// Package verifyapi is for programs that are not written in Go, or cannot read the key store:
// they send the secret that a client presented, and learn whether it is valid.
//
// [Handler] serves POST /v1/verify in your own program, also for several keys (/v1/verify/batch),
// as RFC 7662 has it (/v1/introspect), and for proxies (/v1/forward-auth); `keyctl serve` runs it,
// together with the API of package admin/server. Package verifier decides, as for a guard, and the call
// counts against the key's rate limit.
//
// Callers need an admin key with the scope verify, except a proxy, for which its client's key
// decides. If that key has an audience, it can verify
// keys only for that audience. The answer about a key that is not valid gives the true reason,
// for the log of the guarded server; do not pass it on to the client.
//
// An answer for a valid key may be kept for [Lease] at most: a program that keeps it longer
// does not notice a revocation. Unknown keys are limited by caller and client_ip, so that one
// client's guesses neither cost this server much nor stop the caller's other clients: over the
// limit the answer is 429, because the key was not checked.
//
// /v1/verify and /v1/verify/batch read a secret only from the body, and answer 200 whether or not
// that secret is valid; the other statuses refuse the request itself.
package verifyapi

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/internal/base/verifyroutes"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// Lease is how long the answer for a valid key may be kept.
const Lease = verifyroutes.Lease

// Options configures [Handler]. Nil and the zero value are valid.
type Options struct {
	Logger *slog.Logger     // gets the checks that failed; nil discards
	Now    func() time.Time // nil means time.Now

	// TrustedProxies are those whose X-Forwarded-For is believed at /v1/forward-auth, see
	// [middleware.Options].
	TrustedProxies []netip.Prefix
}

// Handler serves the API with v, which also checks the admin keys of its callers, for a program
// with its own listener, at the four paths that the package comment names. It checks neither Host nor Origin: a listener
// that browsers can reach needs its own protection from web pages.
func Handler(v *verifier.Verifier, o *Options) http.Handler {
	if o == nil {
		o = &Options{}
	}
	a := restapi.New(v, &restapi.Options{Logger: o.Logger, TrustedProxies: o.TrustedProxies})
	verifyroutes.Mount(a, v, &verifyroutes.Options{Logger: o.Logger, Now: o.Now})
	return a.Handler()
}
