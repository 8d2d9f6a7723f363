package keys

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Denial is how often one minute saw one kind of refusal: the same code, key, source,
// server and scope. Denials are a sample for people to look at, written beside the counts of use and
// as easily lost; they are no part of the audit log, or a flood of bad keys would fill it.
type Denial struct {
	Minute   time.Time    // its beginning, UTC
	Code     Code         // never [CodeValid]
	KeyID    string       // the id that was presented; empty where there was none, and of the rest
	Proved   bool         // the key was proved, so this is a caller with a key; else anybody's doing
	Source   netip.Prefix // the address, of IPv6 its network of 64 bits; zero when unknown
	Audience string       // the server that refused; empty for one without a name
	Scope    string       // with insufficient_scope: what was asked for, joined by spaces, or [OtherScopes]
	Offered  string       // with wrong_audience: the servers that the key is for, joined by spaces
	Agent    string       // the first word of a User-Agent among them; empty when unknown
	Calls    int64
}

// ParseCode reads the reason of a refusal, such as revoked. The error is an
// [*InvalidError] of code that lists them.
func ParseCode(text string) (Code, error) {
	all := []Code{
		CodeNoCredential, CodeTwoCredentials, CodeMalformed, CodeNotFound, CodeSuperseded, CodeRevoked, CodeDisabled, CodeExpired, CodeWrongKind,
		CodeWrongAudience, CodeIPNotAllowed, CodeRateLimited, CodeInsufficientScope, CodeUnavailable,
	}
	if slices.Contains(all, Code(text)) {
		return Code(text), nil
	}
	words := make([]string, 0, len(all))
	for _, code := range all {
		words = append(words, string(code))
	}
	return "", Invalid("code", "must be one of %s", strings.Join(words, ", "))
}

// SourceOf is what counts as one source of calls: an IPv4 address, however it is written,
// and of an IPv6 address the network of 64 bits that whoever has it has all of. The zero
// Prefix stands for an address that is not known.
func SourceOf(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	source, _ := ip.Prefix(bits) // of the zero Addr it is the zero Prefix
	return source
}
