// Package idheader has the headers in which a server behind a proxy reads who calls.
// /v1/forward-auth answers with them, and `keyctl guard` sends them. [Set] writes all of them, each
// once, so that they overwrite what a client sent; [Remove] deletes what a client sent in any
// spelling. Characters other than printable ASCII, and %, are percent-encoded.
//
// The package makes no decisions: the identity is the one that a guard found.
package idheader

import (
	"net/http"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
)

const (
	keyID    = "X-Mcpkeys-Key-Id"
	keyName  = "X-Mcpkeys-Key-Name"
	owner    = "X-Mcpkeys-Owner"
	scopes   = "X-Mcpkeys-Scopes" // separated by spaces
	audience = "X-Mcpkeys-Audience"
)

// Names returns the names of the headers.
func Names() []string { return []string{keyID, keyName, owner, scopes, audience} }

// Set writes the identity of i, for the server named at, into h.
func Set(h http.Header, i *keys.Identity, at string) {
	h[keyID] = []string{i.KeyID()}
	h[keyName] = []string{encode(i.Name())}
	h[owner] = []string{encode(i.Owner())}
	h[scopes] = []string{encodeAll(i.Scopes())}
	h[audience] = []string{encode(at)}
}

// Remove deletes these headers and all others that begin with X-Mcpkeys-, also where - is written
// as _: many servers take both for the same header.
func Remove(h http.Header) {
	for name := range h {
		if Is(name) {
			delete(h, name)
		}
	}
}

// Is reports whether a server may take the name for one that begins with X-Mcpkeys-.
func Is(name string) bool {
	const prefix = "x-mcpkeys-"
	if len(name) < len(prefix) {
		return false
	}
	return strings.EqualFold(strings.ReplaceAll(name[:len(prefix)], "_", "-"), prefix)
}

func encodeAll(texts []string) string {
	for i, text := range texts {
		texts[i] = encode(text)
	}
	return strings.Join(texts, " ")
}

// encode makes text safe as the value of a header. Most texts stay as they are.
func encode(text string) string {
	const hex = "0123456789ABCDEF"
	var out []byte
	for i := range len(text) {
		c := text[i]
		if c > ' ' && c < 0x7f && c != '%' {
			if out != nil {
				out = append(out, c)
			}
			continue
		}
		if out == nil {
			out = append(make([]byte, 0, len(text)+8), text[:i]...)
		}
		out = append(out, '%', hex[c>>4], hex[c&15])
	}
	if out == nil {
		return text
	}
	return string(out)
}
