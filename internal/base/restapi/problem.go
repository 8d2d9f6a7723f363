package restapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/store"
)

// fieldBody is the name of the body as a whole.
const fieldBody = "body"

const (
	detailInvalid  = "The request is not valid. See errors for the fields and reasons."
	detailInternal = "Internal error. Look for the request_id in the server's log."
)

// problem is the answer to the client; the guards use the same type.
type problem middleware.Problem

// The problems without an error of the domain.
var (
	problemNoRoute = problem{
		Status: http.StatusNotFound, Code: api.CodeNoRoute,
		Detail: "Path not found. /openapi.json lists all paths.",
	}
	problemNoMethod = problem{
		Status: http.StatusMethodNotAllowed, Code: api.CodeMethodNotAllowed,
		Detail: "Method not allowed. The Allow header lists the allowed methods.",
	}
	problemNotJSON = problem{
		Status: http.StatusUnsupportedMediaType, Code: api.CodeUnsupportedMediaType,
		Detail: "Send the body as Content-Type: application/json.",
	}
	problemTooLarge = problem{
		Status: http.StatusRequestEntityTooLarge, Code: api.CodeTooLarge,
		Detail: "The body is larger than 64 KiB, the limit of this API.",
	}
	problemTimeout = problem{
		Status: http.StatusRequestTimeout, Code: api.CodeTimeout,
		Detail: "The body did not arrive in time. Send the request again.",
	}
	problemMayBeLost = problem{
		Status: http.StatusInternalServerError, Code: api.CodeMayBeLost,
		Detail: "The change may be lost: the files of the key store were replaced or removed while it was made. Restart this server, check whether the change was made, and repeat the request if it was not.",
	}
	problemAltered = problem{
		Status: http.StatusServiceUnavailable, Code: api.CodeAltered,
		Detail: "The key store was changed outside mcpkeys. This request was not carried out. Run keyctl doctor on the machine of the key store.",
	}
	problemInternal = problem{
		Status: http.StatusInternalServerError, Code: api.CodeInternal, Detail: detailInternal,
	}
)

// tooLargeFor is the problem of a body beyond limit bytes.
func tooLargeFor(limit int64) *problem {
	p := problemTooLarge
	if limit != MaxBody {
		p.Detail = fmt.Sprintf("The body is larger than %d KiB, the limit of this path.", limit>>10)
	}
	return &p
}

// statuses maps the domain's errors to answers; the first matching row counts. An error without
// a row is 500 internal. An empty detail means the error's own text as a sentence; the domain
// quotes no values in it.
var statuses = []struct {
	err    error
	status int
	code   string
	detail string
}{
	{keys.ErrNotFound, http.StatusNotFound, api.CodeNotFound, "Key not found."},
	{keys.ErrVersion, http.StatusPreconditionFailed, api.CodePreconditionFailed, "The key was changed after you read it. Read it again, then repeat the change if it still fits."},
	{keys.ErrConflict, http.StatusConflict, api.CodeConflict, ""},
	{keys.ErrDenied, http.StatusForbidden, api.CodeForbidden, ""},
	{keys.ErrTampered, http.StatusConflict, api.CodeTampered, "The key was changed outside mcpkeys and cannot be trusted: revoke it, or restore the database from a backup."},
	{ErrBeyond, http.StatusBadRequest, api.CodeBeyond, "The verifier has applied changes that this key store does not have. It must drop all keys and begin at position 0."},
	{ErrStopping, http.StatusServiceUnavailable, api.CodeUnavailable, "This server is stopping. Send the request to another server, or again after Retry-After."},
	{keys.ErrUnavailable, http.StatusServiceUnavailable, api.CodeUnavailable, "The key store cannot be used right now. Try again after Retry-After."},
}

// ErrStopping means that the server is about to stop. It is a normal answer and is not logged
// as a fault.
var ErrStopping = errors.New("the server is stopping")

// BusyError is the error of a caller for which the server does too much already: 503. It is a
// normal answer and is not logged as a fault.
type BusyError struct{ Detail string }

func (e *BusyError) Error() string { return e.Detail }

// Unwrap makes it a [keys.ErrUnavailable].
func (e *BusyError) Unwrap() error { return keys.ErrUnavailable }

// ErrBeyond means that a verifier has applied changes that the key store does not have.
var ErrBeyond = errors.New("applied is beyond the position of the key store")

// WaitError is the error of a caller that must wait: 429.
type WaitError struct {
	For    time.Duration
	Detail string // one sentence for the client; the seconds to wait are added
}

func (e *WaitError) Error() string { return e.Detail }

// problemOf translates an error of the domain.
func problemOf(err error) problem {
	if wait := (*WaitError)(nil); errors.As(err, &wait) {
		return problem{Status: http.StatusTooManyRequests, Code: string(keys.CodeRateLimited), Detail: wait.Detail + " " + middleware.TryAgain(wait.For)}
	}
	if busy := (*BusyError)(nil); errors.As(err, &busy) {
		return problem{Status: http.StatusServiceUnavailable, Code: api.CodeUnavailable, Detail: busy.Detail + " " + middleware.TryAgain(0)}
	}
	if found := keys.Faults(err); len(found) > 0 {
		p := *invalid("", "")
		p.Errors = nil
		for _, f := range found {
			p.Errors = append(p.Errors, middleware.FieldError{Field: f.Field, Message: f.Reason})
		}
		return p
	}
	var written *store.WrittenError
	if errors.As(err, &written) {
		return problem{
			Status: http.StatusInternalServerError, Code: api.CodeNotAnnounced,
			Detail: "The change is written and durable, but " + written.What + ". Check the key before you repeat the request.",
		}
	}
	var lost *store.MayBeLostError
	if errors.As(err, &lost) {
		return problemMayBeLost
	}
	var altered *feed.AlteredError
	if errors.As(err, &altered) {
		return problemAltered
	}
	if before := (*store.ReplayedError)(nil); errors.As(err, &before) {
		return problem{Status: http.StatusConflict, Code: api.CodeSecretDelivered, Detail: sentence(before.Error())}
	}
	for _, row := range statuses {
		if !errors.Is(err, row.err) {
			continue
		}
		p := problem{Status: row.status, Code: row.code, Detail: row.detail}
		if p.Detail == "" {
			p.Detail = sentence(err.Error())
		}
		if errors.Is(err, keys.ErrNameTaken) {
			p.Errors = []middleware.FieldError{{Field: "name", Message: "is taken"}}
		}
		return p
	}
	return problemInternal
}

// sentence makes a sentence of an error's text: a capital and a full stop.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 || first == utf8.RuneError {
		return text
	}
	text = string(unicode.ToUpper(first)) + text[size:]
	if strings.ContainsRune(".?!", rune(text[len(text)-1])) {
		return text
	}
	return text + "."
}

// failure logs what the operator needs and returns what the client may see. The result is a
// [huma.StatusError]; [API.transform] turns it into the body.
func (a *API) failure(ctx context.Context, err error) error {
	f := &failure{problem: problemOf(err)}
	if wait := (*WaitError)(nil); errors.As(err, &wait) {
		f.wait = wait.For
	}
	if rotation := (*admin.RotationError)(nil); errors.As(err, &rotation) {
		f.rotation = &api.Rotation{Finish: rotation.Old, Replace: rotation.Newest}
		if rotation.Old != 0 {
			f.rotation.Until = &rotation.Until
		}
	}
	caller, _ := keys.IdentityFrom(ctx)
	busy := (*BusyError)(nil)
	if f.problem.Status >= http.StatusInternalServerError && !errors.Is(err, ErrStopping) && !errors.As(err, &busy) &&
		(caller != nil || a.lets("failed", f.problem.Code)) {
		a.logger.LogAttrs(ctx, slog.LevelError, "request failed",
			slog.String("request_id", requestid.From(ctx)), slog.Any("error", err))
	}
	return f
}

type failure struct {
	problem  problem
	wait     time.Duration // for Retry-After
	rotation *api.Rotation // the numbers for finish and replace, of a refused rotation
}

func (f *failure) Error() string               { return f.problem.Code }
func (f *failure) GetStatus() int              { return f.problem.Status }
func (f *failure) ContentType(_ string) string { return "application/problem+json" }

// GetHeaders implements [huma.HeadersError].
func (f *failure) GetHeaders() http.Header {
	switch f.problem.Status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return http.Header{"Retry-After": {strconv.Itoa(max(1, int(math.Ceil(f.wait.Seconds()))))}}
	}
	return nil
}

// body is p as huma writes it.
func (p problem) body(requestID string) api.Problem {
	out := api.Problem{
		Type: "about:blank", Title: http.StatusText(p.Status), Status: p.Status,
		Detail: p.Detail, Code: p.Code, RequestID: requestID,
	}
	for _, e := range p.Errors {
		out.Errors = append(out.Errors, api.FieldError(e))
	}
	return out
}

// abort ends a request with p.
func (p problem) abort(c *gin.Context) {
	middleware.Problem(p).Write(c.Writer, c.Request)
	c.Writer.WriteHeaderNow() // otherwise gin takes an answer to HEAD, which has no body, for a missing one, and writes its own
	c.Abort()
}

func refuseWith(p problem) gin.HandlerFunc { return p.abort }

// Refuse is for handlers around the API: it answers r with a problem of this form and logs it
// as the guards do.
func (a *API) Refuse(w http.ResponseWriter, r *http.Request, status int, code, detail string) {
	a.guards[schemeAnyKey].Refuse(w, middleware.Identify(r), middleware.Problem{Status: status, Code: code, Detail: detail})
}
