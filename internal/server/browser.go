package server

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/restapi"
)

// onlyNamed lets a server on loopback answer to names of loopback only. A page whose
// name was made to resolve to 127.0.0.1 calls with that name in Host, and to the
// browser that is the page's own origin.
func onlyNamed(a *restapi.API, addr net.Addr, next http.Handler) http.Handler {
	at, ok := addr.(*net.TCPAddr)
	if !ok || !at.IP.IsLoopback() {
		return next
	}
	names := map[string]bool{}
	for _, host := range []string{"localhost", "127.0.0.1", "::1", at.IP.String()} {
		names[net.JoinHostPort(host, strconv.Itoa(at.Port))] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if names[strings.ToLower(r.Host)] {
			next.ServeHTTP(w, r)
			return
		}
		a.Refuse(w, r, http.StatusMisdirectedRequest, api.CodeWrongHost,
			"This server answers to localhost, 127.0.0.1 and [::1] only, with its port.")
	})
}

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
