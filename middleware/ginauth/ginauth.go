// Package ginauth is the guard of package middleware as a gin handler.
//
//	guard := middleware.New(v, &middleware.Options{Audience: "reports"})
//	r.GET("/reports", ginauth.Require(guard, "reports:read"), handle)
//
// It makes no decisions and reads nothing that gin offers: not gin.Context.ClientIP, which
// trusts forwarding headers by default (set the guard's Options.TrustedProxies instead), and no
// route parameter. The handler calls [keys.IdentityFrom] with the request's context to learn
// who is calling. Mount it per route or group; with Engine.Use before the routes it also covers
// the answers to unknown paths.
package ginauth

import (
	"fmt"

	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// Require returns a handler that passes requests whose key grants all of scopes; without
// scopes, any valid key passes. Otherwise it answers as [middleware.Guard.Admit] does and
// aborts the chain.
//
// It panics if guard is nil, and on a scope that no request can satisfy, such as one with a
// wildcard.
func Require(guard *middleware.Guard, scopes ...string) gin.HandlerFunc {
	if guard == nil {
		panic("ginauth: no guard")
	}
	for _, s := range scopes {
		if err := keys.ValidateRequired(s); err != nil {
			panic(fmt.Errorf("ginauth: Require: %w", err))
		}
	}
	return func(c *gin.Context) {
		r, ok := guard.Admit(c.Writer, c.Request, scopes...)
		if !ok {
			c.Abort()
			return
		}
		c.Request = r
	}
}
