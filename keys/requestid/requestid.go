// Package requestid names one request, so that logs and audit rows can be joined: [From]
// returns its id in a handler. Guards make the id, or keep one that the client sent if it
// cannot be a secret.
package requestid

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/internal/base62"
	"github.com/mcpkeys/mcpkeys/keys/internal/ctxkey"
	"github.com/mcpkeys/mcpkeys/keys/internal/shape"
)

// maxLen is the length of a request's id, in characters.
const maxLen = 64

// fresh makes an id for a request without one: a UUID version 7.
func fresh() string { return uuid.Must(uuid.NewV7()).String() }

// Validate holds the rule for the id of a request: 1 to 64 ASCII letters,
// digits, dots, hyphens and underscores, and nothing that could be a key or a part of one. UUIDs and W3C trace ids are valid. Ids come from clients, and are echoed,
// logged and kept in the audit log permanently, so the rule is strict: it refuses 30
// letters and digits in a row (but allows 32 in lower-case hex), and 24 if capitals and small
// letters are mixed as in a secret.
//
// The error is an [*keys.InvalidError] that never repeats the id.
func Validate(id string) error {
	switch {
	case isUUID(id): // as this package makes them; a UUID has no underscore, and at most 12 letters and digits in a row
		return nil
	case id == "" || len(id) > maxLen || strings.IndexFunc(id, notAllowed) >= 0:
		return keys.Invalid("request_id", "must be 1 to %d letters, digits, dots, hyphens and underscores", maxLen)
	case keys.HoldsToken(id):
		return keys.Invalid("request_id", shape.Reason)
	}
	for run := range shape.Runs(id) {
		if shape.LooksLikeSecret(run) || len(run) >= shape.SecretLen && !isTraceID(run) {
			return keys.Invalid("request_id", shape.Reason)
		}
	}
	return nil
}

// isUUID reports whether id is a UUID in lower case.
func isUUID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case (c < '0' || c > '9') && (c < 'a' || c > 'f'):
			return false
		}
	}
	return true
}

func notAllowed(r rune) bool {
	return base62.IsOther(r) && r != '.' && r != '-' && r != '_'
}

// isTraceID: 16 bytes in lower-case hex, as in W3C Trace Context, or a UUID without
// hyphens.
func isTraceID(run string) bool {
	return len(run) == 32 && strings.Trim(run, "0123456789abcdef") == ""
}

// With puts the id of a request into ctx; audit rows written with ctx have it.
func With(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, ctxkey.RequestID{}, id)
}

// From returns the id noted in ctx, or a fresh one.
func From(ctx context.Context) string {
	if id, ok := ctx.Value(ctxkey.RequestID{}).(string); ok && id != "" {
		return id
	}
	return fresh()
}

// Or returns given, the request's own id, if it is valid, and a fresh id
// otherwise.
func Or(given string) string {
	if given != "" && Validate(given) == nil {
		return given
	}
	return fresh()
}
