package ginauth_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/middleware/ginauth"
)

func TestScenarios(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	guardtest.Run(t, guardtest.Adapter{
		Mount: func(guard *middleware.Guard, reached func(context.Context, http.Header)) http.Handler {
			r := gin.New()
			r.GET("/reports", ginauth.Require(guard, guardtest.Needed), func(c *gin.Context) {
				reached(c.Request.Context(), c.Request.Header)
			})
			return r
		},
		Request: func(url string) *http.Request {
			r, err := http.NewRequest(http.MethodGet, url+"/reports", nil)
			if err != nil {
				t.Fatal(err)
			}
			return r
		},
	})
}

// A refusal must end the chain: gin continues with the next handler unless it is aborted.
func TestRequireAborts(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	k := guardtest.NewKeyring(t)
	ran := false
	r := gin.New()
	r.Use(ginauth.Require(k.Guard(nil)))
	r.Use(func(*gin.Context) { ran = true })
	r.GET("/", func(*gin.Context) { ran = true })
	for _, path := range []string{"/", "/nowhere"} {
		status := guardtest.Status(t, r, http.MethodGet, path)
		if status != http.StatusUnauthorized || ran {
			t.Errorf("GET %s without a key: got %d, handlers ran: %v; want 401 and none", path, status, ran)
		}
	}
}

func TestRequirePanicsOnBadScope(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Require(tools:*): got no panic, want one")
		}
	}()
	ginauth.Require(guardtest.NewKeyring(t).Guard(nil), "tools:*")
}
