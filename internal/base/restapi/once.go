package restapi

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
)

// Once is the part of an input that keeps a repeated request from being carried out twice:
// embed it, and pass the result of [Once.Of] to the change.
type Once struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"A text that you choose for this request. If the same request with the same text arrives again within 24 hours, also after a restart of the server, it is not carried out again: it gets the first answer, or 409 secret_already_delivered if that contained a secret" example:"deploy-4711"`

	keys int // how many of these headers the request had
}

// Resolve implements [huma.Resolver].
func (o *Once) Resolve(ctx huma.Context) []error {
	ctx.EachHeader(func(name, _ string) {
		if strings.EqualFold(name, "Idempotency-Key") {
			o.keys++
		}
	})
	return nil
}

func (o *Once) validate() error {
	if o.keys > 1 || o.IdempotencyKey == "" {
		return &keys.InvalidError{Field: "Idempotency-Key", Reason: "must be given once and must not be empty"}
	}
	return keys.ValidateText("Idempotency-Key", o.IdempotencyKey)
}

// Asked is what one request asks for: the operation, its key, and the body.
type Asked struct {
	Verb, ID string
	Body     any
}

// Of returns the request with its Idempotency-Key, without the caller and the time; nil without
// an Idempotency-Key. It fails with a [*keys.InvalidError].
func (o *Once) Of(asked Asked) (*store.Once, error) {
	if o.keys == 0 {
		return nil, nil
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(asked.Body)
	if err != nil {
		return nil, fmt.Errorf("render request: %w", err)
	}
	return &store.Once{Route: strings.TrimSpace(asked.Verb + " " + asked.ID), Word: o.IdempotencyKey, Body: body}, nil
}
