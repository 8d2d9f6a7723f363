package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/mcpkeys/mcpkeys/keys"
)

// maxCredential is the longest text that is checked, in bytes.
const maxCredential = 256

const (
	headerAuthorization = "Authorization"
	headerAPIKey        = "X-Api-Key" // X-API-Key, as net/http writes it
	bearer              = "Bearer"
)

// credentialHeaders are the canonical names that may carry a key, Authorization
// first.
type credentialHeaders []string

// taken are headers with another meaning, which would be deleted with the key.
var taken = []string{
	"Accept", "Connection", "Content-Length", "Content-Type", "Cookie", "Host", "Last-Event-Id", "Mcp-Method", "Mcp-Name",
	"Mcp-Protocol-Version", "Mcp-Session-Id", "Origin", "Proxy-Authorization", "Referer", "Set-Cookie", headerRequestID,
}

func newCredentialHeaders(further []string) (credentialHeaders, error) {
	names := credentialHeaders{headerAuthorization, headerAPIKey}
	for _, name := range further {
		name = http.CanonicalHeaderKey(name)
		switch {
		case !isHeaderName(name):
			return nil, errors.New("must be header names, such as X-Auth-Token")
		case slices.Contains(taken, name):
			return nil, fmt.Errorf("must be headers without another meaning: %s has one", name)
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	return names, nil
}

// isHeaderName accepts the token rule of RFC 9110 for ASCII letters, digits and the usual
// marks.
func isHeaderName(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("-_.", r)
	}) < 0
}

// in reports whether h has a credential, valid or not.
func (names credentialHeaders) in(h http.Header) bool {
	return slices.ContainsFunc(names, func(name string) bool { return len(h[name]) > 0 })
}

// take finds the one credential in h, and removes every credential and every other header that
// contains a key: a header of another name, a cookie, a referrer. The code is valid if there is
// a text to verify. It reads only values of h; Go has already split lines, canonicalised names
// and trimmed outer space.
func (names credentialHeaders) take(h http.Header) (token string, code keys.Code) {
	var header, value string
	lines := 0
	for name, values := range h { // one loop is cheaper than a lookup for each name
		switch {
		case slices.Contains(names, name):
			if len(values) > 0 {
				header, value = name, values[0]
				lines += len(values)
			}
			delete(h, name)
		case name == "Proxy-Authorization" || slices.ContainsFunc(values, holdsToken):
			delete(h, name)
		}
	}
	switch {
	case lines == 0:
		return "", keys.CodeNoCredential
	case lines > 1:
		return "", keys.CodeTwoCredentials
	case header == headerAuthorization:
		return bearerToken(value)
	}
	return oneToken(value)
}

// bearerToken parses "Bearer <token>": the scheme in any case, exactly one space, nothing
// around. Another scheme is not a credential for this guard.
func bearerToken(value string) (string, keys.Code) {
	if len(value) < len(bearer) || !strings.EqualFold(value[:len(bearer)], bearer) {
		return "", keys.CodeNoCredential
	}
	token, spaced := strings.CutPrefix(value[len(bearer):], " ")
	if token != "" && !spaced {
		return "", keys.CodeMalformed
	}
	return oneToken(token)
}

func oneToken(text string) (string, keys.Code) {
	switch {
	case text == "":
		return "", keys.CodeNoCredential
	case len(text) > maxCredential:
		return "", keys.CodeMalformed
	case strings.Contains(text, ","):
		return "", keys.CodeTwoCredentials
	}
	return text, keys.CodeValid
}

// holdsToken is [keys.HoldsToken] after a test that nearly every header value fails at once: an
// underscore with mcp and one letter before it.
func holdsToken(value string) bool {
	for from := 0; ; {
		i := strings.IndexByte(value[from:], '_')
		if i < 0 {
			return false
		}
		from += i + 1
		if at := from - len("mcpk_"); at >= 0 && strings.EqualFold(value[at:at+3], "mcp") {
			return keys.HoldsToken(value)
		}
	}
}
