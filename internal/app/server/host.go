package server

import (
	"net"
	"net/http"

	"github.com/mcpkeys/mcpkeys/internal/app/listening"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/hostcheck"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/keys"
)

// hostNames parses the names of --allowed-host.
func hostNames(allowed []string) (hostcheck.Names, error) {
	names, err := hostcheck.New(allowed)
	if err != nil {
		return nil, &keys.InvalidError{Field: "allowed_host", Reason: err.Error()}
	}
	return names, nil
}

// onlyNamed refuses a request whose Host header this server does not accept;
// [hostcheck.Names.Fit] decides, by the address at which the connection arrived. A web page
// cannot reach a Unix socket, so there the Host does not matter, and what a proxy asks has the
// Host of the proxy's client.
func onlyNamed(a *restapi.API, names hostcheck.Names, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if listening.OnSocket(local) || a.ForProxies(r) || names.Fit(local, r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		a.Refuse(w, r, http.StatusMisdirectedRequest, api.CodeWrongHost,
			"This server does not accept the name in the Host header. Start it with --allowed-host NAME for each name that clients or a proxy use.")
	})
}
