package keys

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"github.com/mcpkeys/mcpkeys/keys/internal/base62"
)

// maxRequestID is the length of a request's id, in characters.
const maxRequestID = 64

// newRequestID makes an id for a request that brought none: a UUID version 7.
func newRequestID() string { return uuid.Must(uuid.NewV7()).String() }

// ValidateRequestID holds the rule for the id of a request: 1 to [maxRequestID] ASCII
// letters, digits, dots, hyphens and underscores, and nothing that could be a key or a
// part of one. UUIDs and W3C trace ids pass. Ids come from anywhere, are echoed, logged
// and kept in the audit log for ever, so the rule would rather refuse too many: no 30
// letters and digits in a row, but for 32 that are lower-case hex, and no 24 of both cases.
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

// isTraceID: 16 bytes in lower-case hex, as W3C Trace Context has it, or a UUID whose
// hyphens were left out.
func isTraceID(run string) bool {
	return len(run) == 32 && strings.Trim(run, "0123456789abcdef") == ""
}

type requestIDKey struct{}

// WithRequestID notes the id of the request that ctx belongs to; audit rows written
// under ctx carry it.
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
