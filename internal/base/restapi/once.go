package restapi

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
)

// Once is the part of an input that keeps a repeated request from being carried out
// twice: embed it, and hand what [Once.Of] makes of it to the change.
type Once struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"A word of your own. The same request with the same word within 24 hours is not carried out again, also after the server was restarted: it gets the first answer, or, where that carried a secret, 409 secret_already_delivered" example:"deploy-4711"`

	keys int // how many such headers there were
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
		return &keys.InvalidError{Field: "Idempotency-Key", Reason: "must be given once, and not be empty"}
	}
	return keys.ValidateText("Idempotency-Key", o.IdempotencyKey)
}

// Asked is what one request asks for: the operation, the key that it is about, and the
// body.
type Asked struct {
	Verb, ID string
	Body     any
}

// Of is the word of a request, without the caller and the time; nil for a request without
// a word. It fails with an [*keys.InvalidError].
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
