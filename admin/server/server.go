// Package server is the REST API for keys: issue, list, show, edit, rotate, disable,
// enable and revoke them, read who did so, and let a key learn about itself.
//
// [Handler] serves it in a program of yours; `keyctl serve` runs it, together with the
// API of package verifyapi. From Go, package admin/client speaks to it; the bodies are in
// admin/api.
//
// Each request acts in the name of "key:<id>", limited to what that admin key may do, and
// under the request's id: so the audit log says who did what by which request.
//
// The package refuses to show a secret except in the answer that made it, to make a first
// admin key (that takes the file: `keyctl issue NAME --admin`), and to answer a caller
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

// Options configures [Handler]. Nil and the zero value are ready for use.
type Options struct {
	Logger         *slog.Logger   // one line for each request; nil discards
	TrustedProxies []netip.Prefix // who may say where a call comes from; see middleware.Options
}

// Handler serves the API over st, for a program that has a listener of its own; v checks
// the admin keys of its callers. Paths begin with /v1/. It checks neither Host nor Origin:
// a listener that browsers can reach needs its own protection from web pages.
func Handler(st store.Store, v *verifier.Verifier, o *Options) http.Handler {
	if o == nil {
		o = &Options{}
	}
	a := restapi.New(v, &restapi.Options{Logger: o.Logger, TrustedProxies: o.TrustedProxies})
	keyroutes.Mount(a, st, nil)
	return a.Handler()
}
