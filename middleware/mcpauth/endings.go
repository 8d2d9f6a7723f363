package mcpauth

import (
	"bytes"
	"encoding/json"

	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

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
func endMessages(data []byte, failure *mcppolicy.Error) []byte {
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

func failureFor(id json.RawMessage, failure *mcppolicy.Error) []byte {
	raw, _ := json.Marshal(struct {
		Version string           `json:"jsonrpc"`
		ID      json.RawMessage  `json:"id"`
		Error   *mcppolicy.Error `json:"error"`
	}{"2.0", id, failure})
	return raw
}
