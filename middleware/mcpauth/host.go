package mcpauth

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/mcpkeys/mcpkeys/internal/base/hostcheck"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// hosts decides which Host is accepted. The SDK's own check is off: its refusal is not
// logged, is plain text, and has status 403, which clients take for a missing permission.
type hosts struct {
	any   bool // the check is off
	names hostcheck.Names
}

// newHosts panics on a name that no request could have.
func newHosts(o *Options) hosts {
	names, err := hostcheck.New(o.AllowedHosts)
	if err != nil {
		panic(fmt.Errorf("mcpauth: Options.AllowedHosts: %w", err))
	}
	off := o.HTTP != nil && o.HTTP.DisableLocalhostProtection && len(names) == 0
	return hosts{off, names}
}

func (h hosts) allow(r *http.Request) bool {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return h.any || h.names.Fit(local, r.Host)
}

var wrongHost = middleware.Problem{
	Status: http.StatusMisdirectedRequest, Code: "wrong_host",
	Detail: "This server does not accept the name in the Host header. Use the server's own address, or ask its operator to allow the name.",
}

func (h *handler) refuseHost(w http.ResponseWriter, r *http.Request) {
	h.guard.Refuse(w, r, wrongHost, slog.String("host", r.Host))
}
