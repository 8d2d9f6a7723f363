package mcppolicy

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// Error is a JSON-RPC error.
type Error struct {
	Code    int64           `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (e *Error) Error() string { return e.Message }

// The codes of JSON-RPC and MCP that this package and its adapters use.
const (
	CodeParseError     = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
	CodeInternal       = -32603
	CodeHeaderMismatch = -32020
)

// CodeRateLimited is the code of the JSON-RPC error that answers a call over the key's rate
// limit, see mcpauth.CodeRateLimited.
const CodeRateLimited = -31429

// InvalidParams is an error about params.
func InvalidParams(message string, args ...any) *Error {
	return &Error{Code: CodeInvalidParams, Message: fmt.Sprintf(message, args...)}
}

// InvalidRequest is an error about a message.
func InvalidRequest(message string) *Error {
	return &Error{Code: CodeInvalidRequest, Message: message}
}

// ErrUnauthenticated is the error for a message without a known caller.
var ErrUnauthenticated = InvalidRequest("authentication required")

// Refusal is the error for a message about t that d refused. A name that was not granted is
// unknown.
func Refusal(d keys.Decision, t Target) *Error {
	switch d.Code {
	case keys.CodeInsufficientScope:
		return t.Unknown()
	case keys.CodeRateLimited:
		return later(CodeRateLimited, "Too many calls with this API key.", "rate_limited", d)
	case keys.CodeUnavailable:
		return later(CodeInternal, "API keys cannot be checked right now.", "unavailable", d)
	}
	return ErrUnauthenticated
}

// later says when to try again, also in the text, because a model sees only that.
func later(code int64, message, word string, d keys.Decision) *Error {
	seconds := max(1, int64(math.Ceil(d.RetryAfter.Seconds())))
	return &Error{
		Code: code, Message: message + " " + middleware.TryAgain(d.RetryAfter),
		Data: fmt.Appendf(nil, `{"code":%q,"retry_after":%d}`, word, seconds),
	}
}
