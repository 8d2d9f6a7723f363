package server

import (
	"context"
	"net"
	"net/http"

	"github.com/mcpkeys/mcpkeys/internal/app/listening"

	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/internal/base/verifyroutes"
)

// verifyListener is the listener of Options.VerifyListen: on its connections the server
// verifies keys, and does not administer them.
type verifyListener struct{ net.Listener }

type verifyConn struct{ net.Conn }

// Accept implements [net.Listener].
func (l verifyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return verifyConn{conn}, nil
}

// Unwrap returns the listener itself.
func (l verifyListener) Unwrap() net.Listener { return l.Listener }

type onlyVerifying struct{}

// markConn notes in the context of a connection's requests which listener accepted it.
func markConn(ctx context.Context, conn net.Conn) context.Context {
	if _, ok := listening.Accepted(conn).(verifyConn); ok {
		return context.WithValue(ctx, onlyVerifying{}, true)
	}
	return ctx
}

// onlyVerification refuses requests for administration that arrive where it is not served.
func onlyVerification(a *restapi.API, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(onlyVerifying{}) == nil || verifyroutes.Is(r) || isHealth(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		a.Refuse(w, r, http.StatusNotFound, api.CodeNoRoute,
			"This address serves verification only. Administration is at the server's other address.")
	})
}

func isHealth(path string) bool { return path == pathHealth || path == pathReady }
