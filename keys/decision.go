package keys

import (
	"net/netip"
	"slices"
	"time"
)

// Code is the outcome of a check, the same word in logs, audit rows and APIs.
type Code string

// The codes, in the order of the check.
const (
	CodeValid             Code = "valid"
	CodeNoCredential      Code = "no_credential"      // the request carries no key
	CodeTwoCredentials    Code = "two_credentials"    // it carries more than one, or one twice
	CodeMalformed         Code = "malformed"          // not a token; the store is not read
	CodeNotFound          Code = "not_found"          // no key has the id, or the secret is wrong
	CodeSuperseded        Code = "superseded"         // a rotation ended the secret
	CodeRevoked           Code = "revoked"            // final
	CodeDisabled          Code = "disabled"           // can be undone
	CodeExpired           Code = "expired"            // the key, or a rotated secret's grace
	CodeWrongKind         Code = "wrong_kind"         // an admin key at a server, or the reverse
	CodeWrongAudience     Code = "wrong_audience"     // made for another server
	CodeIPNotAllowed      Code = "ip_not_allowed"     // the client address is not in AllowedIPs
	CodeRateLimited       Code = "rate_limited"       // too often
	CodeInsufficientScope Code = "insufficient_scope" // authenticated, but not granted this
	CodeUnavailable       Code = "unavailable"        // the store cannot be read, or the row's seal is broken
)

// Decision is the outcome of authenticating one request. The zero value denies.
//
// A request is decided in two steps. Authentication runs once per request, in the order that
// [Key.Admit] documents, and returns a Decision. Authorization is [Identity.Allows], which is
// pure and cheap: call it as often as needed. Granted scopes may contain wildcards; scopes
// that a server requires are literal.
type Decision struct {
	Code       Code
	Identity   *Identity     // nil unless Valid
	KeyID      string        // the id in a well-formed token, proved or not, for logs
	Secret     int64         // the number of the secret that was proved; zero if none was
	Ends       time.Time     // with valid: when the key or that secret expires; zero means never. With superseded: when that secret ended
	Newer      bool          // with valid: a rotation has made a newer secret of the key
	RetryAfter time.Duration // with rate_limited and unavailable: when to try again
	Cause      error         // with unavailable: what went wrong, for the operator's log only
	Flaw       string        // with malformed and not_found: see [Flaw]; for the operator's log only
	Lacks      *Lack         // with insufficient_scope and wrong_audience: what the key lacks, for logs; else nil

	// The limit that this was counted against: with valid and rate_limited. It is the key's
	// rate limit, or, for a request that carries calls, [RateLimit.Requests] of it.
	// If it is zero with rate_limited, the limit on unknown keys from one address was
	// exceeded.
	Limit     RateLimit
	Remaining int           // how many calls fit now, at a cost of one each
	Reset     time.Duration // until the whole burst fits again
}

// Lack is what a valid key lacks. It is for logs and for operators of the key store; a
// caller learns only the scopes that its call requires.
type Lack struct {
	Required []string // with insufficient_scope: the required scopes
	Missing  []string // the required scopes that were not granted
	Audience string   // with wrong_audience: the server that was called; empty for one without a name
	Offered  []string // the servers that the key is for
}

// Proved reports whether the caller sent a key's whole secret, whatever the outcome.
func (d Decision) Proved() bool { return d.Secret != 0 }

// Valid reports whether the request may proceed. For scopes see [Identity.Allows].
func (d Decision) Valid() bool { return d.Code == CodeValid && d.Identity != nil }

// Authorize makes a valid decision insufficient_scope if the key lacks one of the
// required scopes. Every refusal for scopes goes through it.
func (d Decision) Authorize(required ...string) Decision {
	if !d.Valid() || d.Identity.AllowsAll(required...) {
		return d
	}
	missing := slices.DeleteFunc(slices.Clone(required), d.Identity.Allows)
	d.Code, d.Identity, d.Lacks = CodeInsufficientScope, nil, &Lack{Required: slices.Clone(required), Missing: missing}
	return d
}

// Refuse turns a valid decision into a refusal for a reason found later. It keeps what is
// known about the caller.
func (d Decision) Refuse(code Code) Decision {
	d.Code, d.Identity = code, nil
	return d
}

// Demand is what a guard requires of every key.
type Demand struct {
	Kind     Kind       // which keys belong here; empty means [KindKey]
	Audience string     // the server's own name; empty accepts only keys for every server
	Any      bool       // accept every valid key, whatever its kind and audience: for answers about the key itself
	ClientIP netip.Addr // the client address; the zero Addr is not in any range
}

// Admit judges the state of a key whose secret s was just proved. Format, id and digest are
// checked before. Admit then checks, in this order:
//
//	revoked, disabled, expired (the key, then the secret), kind, audience, client IP
//
// Rate limit and usage follow, counted by the verifier. A revoked, disabled or expired
// key gets that answer before any other.
func (k *Key) Admit(s *KeySecret, now time.Time, demand Demand) Code {
	switch {
	case !k.RevokedAt.IsZero():
		return CodeRevoked
	case !k.DisabledAt.IsZero():
		return CodeDisabled
	case expired(k.ExpiresAt, now), expired(s.ExpiresAt, now):
		return CodeExpired
	case !demand.accepts(k.Kind):
		return CodeWrongKind
	case !k.serves(demand):
		return CodeWrongAudience
	case !k.allowsIP(demand.ClientIP):
		return CodeIPNotAllowed
	}
	return CodeValid
}

func (d Demand) accepts(kind Kind) bool {
	if d.Kind == "" {
		return d.Any || kind == KindKey
	}
	return d.Any || kind == d.Kind
}

// serves: a key without an audience is valid at every server; a server without a
// name accepts only such keys. An admin key's audience limits what it administers,
// so it is not checked here.
func (k *Key) serves(demand Demand) bool {
	return demand.Any || k.Kind == KindAdmin || len(k.Audience) == 0 || slices.Contains(k.Audience, demand.Audience)
}

func (k *Key) allowsIP(ip netip.Addr) bool {
	if len(k.AllowedIPs) == 0 {
		return true
	}
	ip = ip.Unmap().WithZone("")
	return slices.ContainsFunc(k.AllowedIPs, func(p netip.Prefix) bool { return p.Contains(ip) })
}
