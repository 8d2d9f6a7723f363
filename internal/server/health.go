package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/internal/restapi"
	"github.com/mcpkeys/mcpkeys/keys"
)

type health struct {
	Status string `json:"status" doc:"ok"`
}

type healthOutput struct{ Body health }

// mountHealth adds what a supervisor asks. Neither answer tells anything about keys.
func mountHealth(a *restapi.API, st keys.Store) {
	ok := &healthOutput{health{Status: "ok"}}
	restapi.Register(a, huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Tags: []string{"health"},
		Summary: "Is the process up?",
	}, func(context.Context, *struct{}) (*healthOutput, error) { return ok, nil })
	restapi.Register(a, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Tags: []string{"health"},
		Summary: "Can it read the key store?",
	}, func(ctx context.Context, _ *struct{}) (*healthOutput, error) {
		if _, err := st.Changes(ctx, keys.Position{}); err != nil {
			return nil, err
		}
		return ok, nil
	})
}
