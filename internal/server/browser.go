package server

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/restapi"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// onlyNamed lets a server on loopback answer to names of loopback only. A page whose
// name was made to resolve to 127.0.0.1 calls with that name in Host, and to the
// browser that is the page's own origin.
func onlyNamed(addr net.Addr, next http.Handler) http.Handler {
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
		restapi.Refuse(w, middleware.Identify(r), http.StatusMisdirectedRequest, api.CodeWrongHost,
			"This server answers to localhost, 127.0.0.1 and [::1] only, with its port.")
	})
}

// sameOrigin refuses what a browser sends for a page of another origin. Programs
// that are no browsers send no such headers and pass; they need a key all the same.
func sameOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		restapi.Refuse(w, middleware.Identify(r), http.StatusForbidden, api.CodeCrossOrigin,
			"Web pages may not call this API.")
	}))
	return protection.Handler(next)
}
