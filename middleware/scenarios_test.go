package middleware_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/middleware"
)

func TestScenarios(t *testing.T) {
	guardtest.Run(t, guardtest.Adapter{Mount: mount, Request: get})
}

func mount(guard *middleware.Guard, reached func(context.Context, http.Header)) http.Handler {
	return guard.Require(guardtest.Needed)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached(r.Context(), r.Header)
	}))
}

func get(url string) *http.Request {
	r, err := http.NewRequest(http.MethodGet, url+"/reports?page=2", nil)
	if err != nil {
		panic(err)
	}
	return r
}
