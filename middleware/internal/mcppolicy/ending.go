package mcppolicy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// Errors for calls that ended with their key have codes that JSON-RPC leaves to applications:
// this base less the HTTP status that a later request gets. The Go SDK would write some
// reserved codes without the framing of the stream, which clients cannot read.
const codeBase = -31000

// ending is what a client is told about a call that ended with its key: what happened, and what
// to do. Only the log says why the key is not valid.
type ending struct {
	status  int
	code    string
	message string
	retry   bool // in a second
}

var (
	keyEnded = ending{
		status: 401, code: "invalid_token",
		message: "its API key is no longer valid for this server. Do not repeat the call with this key; ask the person who issued it for a current one.",
	}
	scopeEnded = ending{
		status: 403, code: "insufficient_scope",
		message: "its API key was changed and no longer grants %s. Do not repeat the call; ask the person who issued the key for that scope.",
	}
	grantChanged = ending{
		status: 503, code: "key_changed", retry: true,
		message: "its API key was changed while the call ran. Try again in 1 second.",
	}
	serverEnded = ending{status: 503, code: CodeServerEnded}
	uncheckable = ending{
		status: 503, code: "unavailable", retry: true,
		message: "API keys cannot be checked right now. Try again in 1 second.",
	}
)

// CodeServerEnded is the word for a [ServerEndedError].
const CodeServerEnded = "server_ended"

// ServerEndedError is why calls end although their key is valid: their server is no longer guarded as
// it was.
type ServerEndedError struct {
	Why   string // a clause for clients
	Again bool   // it may be served again in a moment
}

func (e *ServerEndedError) Error() string { return e.Why }

// Advice says what a client should do, as a sentence.
func (e *ServerEndedError) Advice() string {
	if e.Again {
		return middleware.TryAgain(time.Second)
	}
	return "Do not try again; ask the person who runs this guard."
}

// Ending is the JSON-RPC error for a call that needed n and ended because of err.
func Ending(err error, n Needs, requestID string) *Error {
	told := keyEnded
	var ended *middleware.EndedError
	var server *ServerEndedError
	switch {
	case errors.As(err, &server):
		told = serverEnded
		told.retry, told.message = server.Again, fmt.Sprintf("%s. %s", server.Why, server.Advice())
	case !errors.As(err, &ended) || ended.Code == keys.CodeUnavailable:
		told = uncheckable
	case ended.Code == keys.CodeInsufficientScope && n.Scope != "":
		told = scopeEnded
		told.message = fmt.Sprintf(told.message, n.Scope)
	case ended.Code == keys.CodeInsufficientScope:
		told = grantChanged
	}
	data := struct {
		Code       string `json:"code"`
		RetryAfter int    `json:"retry_after,omitempty"` // in seconds
		RequestID  string `json:"request_id,omitempty"`
	}{Code: told.code, RequestID: requestID}
	if told.retry {
		data.RetryAfter = 1
	}
	raw, _ := json.Marshal(data) // strings and a number: nothing that could fail
	return &Error{
		Code:    int64(codeBase - told.status),
		Message: "The call was ended before it was finished: " + told.message,
		Data:    raw,
	}
}

// Needs is what a message needs of its key for as long as it runs. The zero Needs requires only
// a valid key.
type Needs struct {
	Whole bool   // everything that was granted, because a list shows it
	Scope string // the scope for which a call was admitted, if it needed one
}

// NeedsOf returns what a message needs that was admitted for scope, which may be empty.
func NeedsOf(method, scope string) Needs {
	for _, list := range Lists {
		if method == list.Method {
			return Needs{Whole: true}
		}
	}
	return Needs{Scope: scope}
}

// MetBy reports whether a valid key still meets n, for [middleware.Held]: before is the identity
// that its request was admitted with, now the present one.
func (n Needs) MetBy(before, now *keys.Identity) bool {
	switch {
	case n.Whole:
		return now == before || now.Covers(before)
	case n.Scope != "":
		return now.Allows(n.Scope)
	}
	return true
}

// Check checks now whether the key of an admitted request is valid and meets n.
func (n Needs) Check(admitted context.Context, guard *middleware.Guard) (err error) {
	switch {
	case n.Whole:
		err = guard.Recheck(admitted)
	case n.Scope != "":
		_, err = guard.RecheckFor(admitted, n.Scope)
	default:
		_, err = guard.RecheckFor(admitted)
	}
	return err
}
