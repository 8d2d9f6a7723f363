package mcphttp

import (
	"encoding/base64"
	"mime"
	"net/http"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/base/idheader"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcpfront"
	"github.com/mcpkeys/mcpkeys/middleware/internal/mcppolicy"
)

const (
	headerVersion = "Mcp-Protocol-Version"
	headerMethod  = "Mcp-Method"
	headerName    = "Mcp-Name"
	typeJSON      = "application/json"
	typeEvents    = "text/event-stream"
)

// judged has the headers by which a server may act. Another spelling of them is removed, and
// so is every header that only this side may set.
var judged = []string{mcpfront.HeaderSession, headerVersion, headerMethod, headerName, "Content-Type", "Content-Encoding", "Content-Length"}

// connectionOnly concern the connection of the client.
var connectionOnly = []string{"Connection", "Proxy-Connection", "Expect", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// clean leaves the headers of a client that next may see.
func clean(h http.Header) {
	for name := range h {
		if foreign(name) {
			delete(h, name)
		}
	}
	for _, name := range connectionOnly {
		delete(h, name)
	}
	h["Accept-Encoding"] = []string{"identity"}
}

// foreign reports whether a name is one of this side, or another spelling of a judged one.
func foreign(name string) bool {
	if !strings.Contains(name, "_") && !strings.HasPrefix(name, "X-Mcpkeys") && name == http.CanonicalHeaderKey(name) {
		return false // nearly all names
	}
	if idheader.Is(name) {
		return true
	}
	folded := foldHeader(name)
	for _, own := range judged {
		if name != own && folded == foldHeader(own) {
			return true
		}
	}
	return false
}

// foldHeader makes names equal that some server takes for the same: CGI knows no hyphens.
func foldHeader(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

// single reports whether each judged header has one value at most.
func single(h http.Header) bool {
	for _, name := range judged {
		if len(h[name]) > 1 {
			return false
		}
	}
	return true
}

// mediaType is the type of a body without its parameters. A charset other than UTF-8 makes it
// another type.
func mediaType(h http.Header) string {
	value := h.Get("Content-Type")
	if value == typeJSON || value == typeEvents {
		return value
	}
	kind, params, err := mime.ParseMediaType(value)
	if err != nil {
		return ""
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return ""
	}
	return kind
}

var errHeaders = &mcppolicy.Error{Code: mcppolicy.CodeHeaderMismatch, Message: "the headers Mcp-Method, Mcp-Name and MCP-Protocol-Version must say what the message says"}

// agree compares the headers of a request with its message: a server, or what is in front of
// it, may act by either. Without sessions they must be there.
func (x *exchange) agree(m *message) bool {
	h := x.r.Header
	method, name, version := h.Get(headerMethod), h.Get(headerName), h.Get(headerVersion)
	if m.method == "" {
		return true
	}
	if method != "" && method != m.method || x.modern && m.isRequest() && method == "" {
		return false
	}
	said, err := optional(m.meta, metaVersion)
	if err != nil || said != "" && said != version {
		return false
	}
	subject := mcppolicy.SubjectOf(m.method)
	if subject == mcppolicy.None || subject == mcppolicy.Ref {
		return true
	}
	if name == "" {
		return !x.modern || !mcppolicy.Counts(m.method)
	}
	decoded, ok := decodeHeader(name)
	return ok && decoded == m.subject
}

// decodeHeader decodes a value that is not plain ASCII.
func decodeHeader(value string) (string, bool) {
	const prefix, suffix = "=?base64?", "?="
	encoded, ok := strings.CutPrefix(value, prefix)
	if !ok || !strings.HasSuffix(encoded, suffix) {
		return value, true
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(encoded, suffix))
	return string(text), err == nil
}
