package usage

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Denial counts the refusals of one minute with the same code, key, source, server and
// scope. Denials are a sample for operators, stored with the counts of use and as
// easily lost. They are not in the audit log, which a flood of invalid keys would fill.
type Denial struct {
	Minute   time.Time    // its start, UTC
	Code     keys.Code    // never [keys.CodeValid]
	KeyID    string       // the id in the token; empty if there was none, and for denials added up beyond the limit
	Proved   bool         // the key was proved; otherwise the caller may not have a key
	Source   netip.Prefix // the client address, for IPv6 its /64; zero if unknown
	Audience string       // the server that refused; empty for one without a name
	Scope    string       // with insufficient_scope: the required scopes, joined by spaces, or [OtherScopes]
	Offered  string       // with wrong_audience: the servers that the key is for, joined by spaces
	Agent    string       // the first word of the User-Agent of one of the callers; empty if unknown
	Calls    int64
}

// ParseCode reads the reason of a refusal, such as revoked. The error is a
// [*keys.InvalidError] of the field code, and lists the reasons.
func ParseCode(text string) (keys.Code, error) {
	all := []keys.Code{
		keys.CodeNoCredential, keys.CodeTwoCredentials, keys.CodeMalformed, keys.CodeNotFound, keys.CodeSuperseded, keys.CodeRevoked, keys.CodeDisabled, keys.CodeExpired, keys.CodeWrongKind,
		keys.CodeWrongAudience, keys.CodeIPNotAllowed, keys.CodeRateLimited, keys.CodeInsufficientScope, keys.CodeUnavailable,
	}
	if slices.Contains(all, keys.Code(text)) {
		return keys.Code(text), nil
	}
	words := make([]string, 0, len(all))
	for _, code := range all {
		words = append(words, string(code))
	}
	return "", keys.Invalid("code", "must be one of %s", strings.Join(words, ", "))
}

// SourceOf is what counts as one source of calls: an IPv4 address, however it is written,
// or the /64 of an IPv6 address, because one client usually has all of it. The zero Prefix
// is an unknown address.
func SourceOf(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	source, _ := ip.Prefix(bits) // of the zero Addr it is the zero Prefix
	return source
}
