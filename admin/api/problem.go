package api

import "time"

// The codes of a [Problem] that the API has besides those of a refused key.
const (
	CodeInvalidArgument      = "invalid_argument"         // 422: errors says which field, and why
	CodeNotFound             = "not_found"                // 404: no such key
	CodeNoRoute              = "no_route"                 // 404: no such address
	CodeMethodNotAllowed     = "method_not_allowed"       // 405
	CodeConflict             = "conflict"                 // 409: the change contradicts what is stored
	CodeSecretDelivered      = "secret_already_delivered" // 409: carried out before, under this Idempotency-Key, and the secret is not shown again
	CodePreconditionFailed   = "precondition_failed"      // 412: the key is not at the version that If-Match names
	CodeTampered             = "tampered"                 // 409: the key was changed outside mcpkeys; revoke it, or restore a backup
	CodeTooLarge             = "too_large"                // 413
	CodeUnsupportedMediaType = "unsupported_media_type"   // 415: send application/json
	CodeTimeout              = "timeout"                  // 408: the body did not arrive in time
	CodeForbidden            = "forbidden"                // 403: this admin key may not do that
	CodeCrossOrigin          = "cross_origin"             // 403: a web page of another origin asked
	CodeWrongHost            = "wrong_host"               // 421: the Host header names something else
	CodeUnavailable          = "unavailable"              // 503: the key store cannot be read or written now
	CodeAltered              = "store_altered"            // 503: the key store was changed outside mcpkeys; run 'keyctl doctor' on its machine
	CodeNotAnnounced         = "not_announced"            // 500: the change is written, but servers could not be told of it yet
	CodeMayBeLost            = "may_be_lost"              // 500: the change was made in files that are not the key store any more; look whether it is there, and repeat it if it is not
	CodeInternal             = "internal"                 // 500: a fault of the server; the log has it under request_id
)

// Problem is every error answer, as application/problem+json (RFC 9457). Code is for
// programs, detail for people; neither repeats any part of the request.
type Problem struct {
	Type      string       `json:"type" doc:"about:blank"`
	Title     string       `json:"title" doc:"The status in words"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail" doc:"What is wrong and how to put it right"`
	Code      string       `json:"code" doc:"One word for programs. Of a change that was committed: not_announced, it stands; may_be_lost, look whether it is there and repeat it if it is not" example:"invalid_argument"`
	RequestID string       `json:"request_id" doc:"Finds the request in the server's log and audit"`
	Errors    []FieldError `json:"errors,omitempty" nullable:"false" doc:"With invalid_argument and some conflicts: which field, and why"`
	Rotation  *Rotation    `json:"rotation,omitempty" doc:"With the conflict of a rotation: the numbers that finish and replace take"`
}

// Rotation tells of a key that cannot be rotated as it was asked for which secrets it has.
type Rotation struct {
	Finish  int64      `json:"finish,omitempty" doc:"The old secret, which is still valid; left out when there is none" example:"1"`
	Until   *time.Time `json:"until,omitempty" doc:"When the old secret ends by itself"`
	Replace int64      `json:"replace" doc:"The newest secret" example:"2"`
}

// FieldError is what is wrong with one field. It never holds the value.
type FieldError struct {
	Field   string `json:"field" doc:"A member, a parameter, or body" example:"scopes"`
	Message string `json:"message" example:"must be an array of strings"`
}
