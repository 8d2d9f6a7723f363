package stdio

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

func writeError(w http.ResponseWriter, status int, id []byte, code int64, sentence string) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(errorLine(id, code, sentence))
}

// noSession makes a client initialize again.
func noSession(w http.ResponseWriter, id []byte) {
	writeError(w, http.StatusNotFound, id, codeInvalidRequest, "This session does not exist or has ended: initialize again.")
}

// startFailed answers why no child was started, and reports whether one was.
func startFailed(w http.ResponseWriter, id []byte, err error) (ok bool) {
	if err == nil {
		return true
	}
	var busy *busyError
	switch {
	case errors.As(err, &busy):
		w.Header().Set("Retry-After", strconv.Itoa(busy.seconds()))
		status := http.StatusServiceUnavailable
		if busy.perKey {
			status = http.StatusTooManyRequests
		}
		writeError(w, status, id, codeInternal, busy.text)
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		writeError(w, http.StatusServiceUnavailable, id, codeInternal, "The client did not wait.")
	default:
		writeError(w, http.StatusBadGateway, id, codeInternal, "The MCP server could not be started. The log of the guard says why.")
	}
	return false
}

// firstID is the id of the first request, for an answer that refuses all.
func firstID(list []*message) []byte {
	for _, m := range list {
		if m.request() {
			return m.bytes(m.id)
		}
	}
	return nil
}

// named returns what of a message must also be in the header Mcp-Name.
func named(m *message) string {
	switch m.method {
	case "tools/call", "prompts/get":
		return m.name
	case "resources/read":
		return m.uri
	}
	return ""
}

// mismatch returns how the headers contradict the message, which proxies may have judged by its
// headers. The headers are required in the protocol without sessions.
func mismatch(h http.Header, m *message) string {
	if !m.request() {
		return ""
	}
	if given := h.Get(versionHeader); given != m.version {
		return "Mcp-Protocol-Version must be the protocol version of the message."
	}
	if h.Get("Mcp-Method") != m.method {
		return "Mcp-Method must be the method of the message."
	}
	want := named(m)
	if name, ok := decodedHeader(h.Get("Mcp-Name")); want != "" && (!ok || name != want) {
		return "Mcp-Name must be the name or URI of the message."
	}
	return ""
}

// decodedHeader undoes =?base64?…?=, by which names are sent that a header cannot have.
func decodedHeader(value string) (string, bool) {
	inner, ok := strings.CutPrefix(value, "=?base64?")
	if !ok {
		return value, true
	}
	if inner, ok = strings.CutSuffix(inner, "?="); !ok {
		return value, true
	}
	text, err := base64.StdEncoding.DecodeString(inner)
	return string(text), err == nil
}

// errorLine is a JSON-RPC error of our own.
func errorLine(id []byte, code int64, sentence string) []byte {
	if id == nil {
		id = []byte("null")
	}
	text, err := jsontext.AppendQuote(nil, sentence)
	if err != nil {
		text = []byte(`"error"`)
	}
	return bytes.Join([][]byte{[]byte(`{"jsonrpc":"2.0","id":`), id, []byte(`,"error":{"code":`), strconv.AppendInt(nil, code, 10), []byte(`,"message":`), text, []byte(`}}`)}, nil)
}
