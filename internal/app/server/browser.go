package server

import (
	"net/http"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
)

// sameOrigin refuses requests that a browser sends for a page of another origin. Other programs
// do not send these headers and pass; they still need a key. What a proxy asks passes too: the
// Origin is its client's.
func sameOrigin(a *restapi.API, next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.Refuse(w, r, http.StatusForbidden, api.CodeCrossOrigin,
			"Web pages of other origins may not call this API.")
	}))
	protected := protection.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.ForProxies(r) {
			next.ServeHTTP(w, r)
			return
		}
		protected.ServeHTTP(w, r)
	})
}
