package mcpauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// Errors for calls that ended with their key have codes that JSON-RPC leaves to applications:
// this base less the HTTP status that a later request gets. The SDK would write some reserved
// codes without the framing of the stream, which clients cannot read.
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
	uncheckable = ending{
		status: 503, code: "unavailable", retry: true,
		message: "API keys cannot be checked right now. Try again in 1 second.",
	}
)

// endingOf is the JSON-RPC error for a call that needed n and ended because of err.
func endingOf(err error, n needs, requestID string) *jsonrpc.Error {
	told := keyEnded
	var ended *middleware.EndedError
	switch {
	case !errors.As(err, &ended) || ended.Code == keys.CodeUnavailable:
		told = uncheckable
	case ended.Code == keys.CodeInsufficientScope && len(n.scopes) > 0:
		told = scopeEnded
		told.message = fmt.Sprintf(told.message, strings.Join(n.scopes, " "))
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
	return &jsonrpc.Error{
		Code:    int64(codeBase - told.status),
		Message: "The call was ended before it was finished: " + told.message,
		Data:    raw,
	}
}

// rpcMessage is the part of a JSON-RPC message that tells whether it answers a call.
type rpcMessage struct {
	ID     json.RawMessage  `json:"id"`
	Method *json.RawMessage `json:"method"`
}

func (m rpcMessage) answers() bool {
	return m.Method == nil && len(m.ID) > 0 && !bytes.Equal(m.ID, []byte("null"))
}

// messages returns the JSON in a piece that the SDK writes at once: the data of an event, or
// all of it.
func messages(piece []byte) []byte {
	if json.Valid(piece) {
		return piece
	}
	var data []byte
	for line := range bytes.Lines(piece) {
		if text, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			data = append(data, bytes.TrimRight(text, "\r\n")...)
		}
	}
	return data
}

// endMessages returns a message, or a batch of them, with failure in place of each answer and
// without everything else: what was written after the key's end must not be sent, but a client
// that gets no answer waits for it. It returns nil if there is none.
func endMessages(data []byte, failure *jsonrpc.Error) []byte {
	var one rpcMessage
	if json.Unmarshal(data, &one) == nil {
		if !one.answers() {
			return nil
		}
		return failureFor(one.ID, failure)
	}
	var batch []rpcMessage
	if json.Unmarshal(data, &batch) != nil {
		return nil
	}
	var failures []json.RawMessage
	for _, m := range batch {
		if m.answers() {
			failures = append(failures, failureFor(m.ID, failure))
		}
	}
	if failures == nil {
		return nil
	}
	raw, _ := json.Marshal(failures)
	return raw
}

func failureFor(id json.RawMessage, failure *jsonrpc.Error) []byte {
	raw, _ := json.Marshal(struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Error   *jsonrpc.Error  `json:"error"`
	}{"2.0", id, failure})
	return raw
}
