package restapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/internal/base/restapi"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/store"
)

type nothing struct{ Body struct{} }

// A panic, and an unexpected error, are 500 without a reason. gin's own recovery prints the
// request with its headers, and so the key.
func TestFaultsTellNothing(t *testing.T) {
	const inside = "mcpk_AbCdEfGhIjKl_insideTheProgram"
	f := servertest.New(t)
	for path, do := range map[string]func(context.Context, *struct{}) (*nothing, error){
		"/v1/panic": func(context.Context, *struct{}) (*nothing, error) { panic(inside) },
		"/v1/error": func(context.Context, *struct{}) (*nothing, error) { return nil, errors.New("a fault") },
		"/v1/nil": func(context.Context, *struct{}) (*nothing, error) {
			var missing *nothing
			return &nothing{missing.Body}, nil
		},
	} {
		restapi.Register(f.API, huma.Operation{
			OperationID: path, Method: http.MethodGet, Path: path, Security: restapi.AnyKey(),
		}, do)
		token := f.Admin()
		a := f.Send("GET", path, token, "")
		if a.Status != 500 || a.Problem(t).Code != "internal" || strings.Contains(a.Body, "fault") || strings.Contains(a.Body, inside) {
			t.Errorf("%s: got %d %s, want 500 internal and no reason", path, a.Status, a.Body)
		}
		if strings.Contains(f.Log(), inside) || strings.Contains(f.Log(), token) {
			t.Errorf("%s: the log holds a secret", path)
		}
		if !strings.Contains(f.Log(), a.Problem(t).RequestID) {
			t.Errorf("%s: the log does not name the request %s", path, a.Problem(t).RequestID)
		}
	}
}

// The outcome of a change is told by a code with what to do, never with the cause, which names
// files of the server's machine.
func TestOutcomesAfterTheCommit(t *testing.T) {
	f := servertest.New(t)
	cause := errors.New("/srv/keys.db-wal was removed")
	for path, c := range map[string]struct {
		err        error
		code, want string
	}{
		"/v1/unannounced": {store.NotAnnounced(cause), "not_announced", "written and durable"},
		"/v1/lost":        {fmt.Errorf("revoke: %w", &store.MayBeLostError{Cause: cause}), "may_be_lost", "check whether the change was made, and repeat the request if it was not"},
	} {
		restapi.Register(f.API, huma.Operation{
			OperationID: path, Method: http.MethodPost, Path: path, Security: restapi.AnyKey(),
		}, func(context.Context, *struct{}) (*nothing, error) { return nil, c.err })
		a := f.Send("POST", path, f.Admin(), "")
		p := a.Problem(t)
		if a.Status != 500 || p.Code != c.code || !strings.Contains(p.Detail, c.want) || strings.Contains(a.Body, "keys.db") {
			t.Errorf("%s: got %d %s, want 500 %s and %q", path, a.Status, a.Body, c.code, c.want)
		}
		if c.code == "may_be_lost" && (strings.Contains(a.Body, "durable") || strings.Contains(a.Body, "by themselves")) {
			t.Errorf("%s: got %s, which promises too much", path, a.Body)
		}
		if !strings.Contains(f.Log(), "keys.db-wal was removed") {
			t.Errorf("%s: the log does not tell the cause", path)
		}
	}
}

// The mistake: a route is added without a guard.
func TestUnguardedRouteIsRefused(t *testing.T) {
	f := servertest.New(t)
	defer func() {
		if recover() == nil {
			t.Error("Register without Security: got no panic, want one")
		}
	}()
	restapi.Register(f.API, huma.Operation{OperationID: "x", Method: http.MethodGet, Path: "/v1/open"},
		func(context.Context, *struct{}) (*nothing, error) { return nil, nil })
}
