package server

import (
	"net/http"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
)

// sameOrigin refuses what a browser sends for a page of another origin. Programs
// that are no browsers send no such headers and pass; they need a key all the same.
func sameOrigin(a *restapi.API, next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.Refuse(w, r, http.StatusForbidden, api.CodeCrossOrigin,
			"Web pages may not call this API.")
	}))
	return protection.Handler(next)
}
