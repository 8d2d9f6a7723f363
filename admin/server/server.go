// Package server is the REST API for keys: issue, list, show, edit, rotate, disable, enable and
// revoke them, read the audit log, and let a key learn about itself.
//
// [Handler] serves it in your own program; `keyctl serve` runs it, together with the API of
// package verifyapi. From Go, use it with package admin/client; the bodies are in admin/api.
//
// Each request acts as "key:<id>", limited to what that admin key may do, and is logged with
// the request's id: so the audit log says who did what in which request.
//
// The package refuses to show a secret except in the answer that made it, to make a first admin
// key (run `keyctl issue NAME --admin` on the machine of the key store), and to answer a caller
// without a key.
package server

import (
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/mcpkeys/mcpkeys/internal/base/keyroutes"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// Options configures [Handler]. Nil and the zero value are valid.
type Options struct {
	Logger         *slog.Logger   // one line for each request; nil discards
	TrustedProxies []netip.Prefix // proxies whose client addresses are trusted; see middleware.Options
}

// Handler serves the API over st, for a program with its own listener; v checks the admin keys
// of its callers. Paths begin with /v1/. It checks neither Host nor Origin: a listener that
// browsers can reach needs its own protection from web pages.
func Handler(st store.Store, v *verifier.Verifier, o *Options) http.Handler {
	if o == nil {
		o = &Options{}
	}
	a := restapi.New(v, &restapi.Options{Logger: o.Logger, TrustedProxies: o.TrustedProxies})
	keyroutes.Mount(a, st, nil)
	return a.Handler()
}
