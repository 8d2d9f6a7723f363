package keys

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"github.com/mcpkeys/mcpkeys/keys/internal/base62"
)

// maxRequestID is the length of a request's id, in characters.
const maxRequestID = 64

// newRequestID makes an id for a request without one: a UUID version 7.
func newRequestID() string { return uuid.Must(uuid.NewV7()).String() }

// ValidateRequestID holds the rule for the id of a request: 1 to [maxRequestID] ASCII
// letters, digits, dots, hyphens and underscores, and nothing that could be a key or a
// part of one. UUIDs and W3C trace ids are valid. Ids come from clients, and are echoed,
// logged and kept in the audit log permanently, so the rule is strict: it refuses 30
// letters and digits in a row (but allows 32 in lower-case hex), and 24 if capitals and small
// letters are mixed as in a secret.
//
// The error is an [*InvalidError] that never repeats the id.
func ValidateRequestID(id string) error {
	switch {
	case id == "" || len(id) > maxRequestID || strings.IndexFunc(id, notInRequestID) >= 0:
		return Invalid("request_id", "must be 1 to %d letters, digits, dots, hyphens and underscores", maxRequestID)
	case HoldsToken(id):
		return Invalid("request_id", reasonToken)
	}
	for run := range base62Runs(id) {
		if looksLikeSecret(run) || len(run) >= secretLen && !isTraceID(run) {
			return Invalid("request_id", reasonToken)
		}
	}
	return nil
}

func notInRequestID(r rune) bool {
	return base62.IsOther(r) && r != '.' && r != '-' && r != '_'
}

// isTraceID: 16 bytes in lower-case hex, as in W3C Trace Context, or a UUID without
// hyphens.
func isTraceID(run string) bool {
	return len(run) == 32 && strings.Trim(run, "0123456789abcdef") == ""
}

type requestIDKey struct{}

// WithRequestID puts the id of a request into ctx; audit rows written with ctx have it.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestIDFrom returns the id noted in ctx, or a fresh one.
func RequestIDFrom(ctx context.Context) string {
	if id, ok := ctx.Value(requestIDKey{}).(string); ok && id != "" {
		return id
	}
	return newRequestID()
}
