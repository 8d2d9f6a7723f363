package api

import "time"

// The codes of a [Problem] in addition to those of a refused key.
const (
	CodeInvalidArgument      = "invalid_argument"         // 422: see errors for the fields and reasons
	CodeNotFound             = "not_found"                // 404: no such key
	CodeNoRoute              = "no_route"                 // 404: no such path
	CodeMethodNotAllowed     = "method_not_allowed"       // 405
	CodeConflict             = "conflict"                 // 409: the change contradicts what is stored
	CodeSecretDelivered      = "secret_already_delivered" // 409: this Idempotency-Key was used before, and the secret is not shown again
	CodePreconditionFailed   = "precondition_failed"      // 412: the key is at another version than If-Match names
	CodeTampered             = "tampered"                 // 409: the key was changed outside mcpkeys; revoke it, or restore a backup
	CodeTooLarge             = "too_large"                // 413
	CodeUnsupportedMediaType = "unsupported_media_type"   // 415: send application/json
	CodeTimeout              = "timeout"                  // 408: the body did not arrive in time
	CodeForbidden            = "forbidden"                // 403: this admin key may not do that
	CodeCrossOrigin          = "cross_origin"             // 403: a web page of another origin sent the request
	CodeWrongHost            = "wrong_host"               // 421: the Host header is not one that this server accepts
	CodeBeyond               = "position_beyond"          // 400: a verifier on another host has applied changes that this key store does not have
	CodeUnavailable          = "unavailable"              // 503: the key store cannot be read or written now
	CodeAltered              = "store_altered"            // 503: the key store was changed outside mcpkeys; run 'keyctl doctor' on its machine
	CodeNotAnnounced         = "not_announced"            // 500: the change is written, but servers could not be notified yet
	CodeMayBeLost            = "may_be_lost"              // 500: the files of the key store were replaced during the change; check whether it was made, and repeat it if it was not
	CodeInternal             = "internal"                 // 500: an internal error; look for request_id in the server's log
)

// Problem is the body of every error, as application/problem+json (RFC 9457). Code is for
// programs, detail for people; neither repeats any part of the request.
type Problem struct {
	Type      string       `json:"type" doc:"about:blank"`
	Title     string       `json:"title" doc:"The status in words"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail" doc:"What is wrong and how to fix it"`
	Code      string       `json:"code" doc:"One word for programs. not_announced: the change was made; may_be_lost: check whether it was made, and repeat it if it was not" example:"invalid_argument"`
	RequestID string       `json:"request_id" doc:"The request's id in the server's log and audit log"`
	Errors    []FieldError `json:"errors,omitempty" nullable:"false" doc:"With invalid_argument and some conflicts: the fields and reasons"`
	Rotation  *Rotation    `json:"rotation,omitempty" doc:"With a refused rotation: the numbers for finish and replace"`
}

// Rotation lists the secrets of a key whose rotation was refused.
type Rotation struct {
	Finish  int64      `json:"finish,omitempty" doc:"The number of the old secret; missing if no old secret is valid" example:"1"`
	Until   *time.Time `json:"until,omitempty" doc:"When the old secret ends by itself"`
	Replace int64      `json:"replace" doc:"The newest secret" example:"2"`
}

// FieldError says what is wrong with one field. It never holds the value.
type FieldError struct {
	Field   string `json:"field" doc:"A member, a parameter, or body" example:"scopes"`
	Message string `json:"message" example:"must be an array of strings"`
}
