package keys

import (
	"net/netip"
	"slices"
	"time"
)

// Code is the outcome of a check, one word for every log, audit row and API.
type Code string

// The codes, in the order in which a check comes upon them.
const (
	CodeValid             Code = "valid"
	CodeNoCredential      Code = "no_credential"      // the request carries no key
	CodeTwoCredentials    Code = "two_credentials"    // it carries more than one, or one twice
	CodeMalformed         Code = "malformed"          // not a token: no store is asked
	CodeNotFound          Code = "not_found"          // no key has the id, or the secret is not its
	CodeSuperseded        Code = "superseded"         // the secret was the key's until a rotation ended it
	CodeRevoked           Code = "revoked"            // final
	CodeDisabled          Code = "disabled"           // can be undone
	CodeExpired           Code = "expired"            // the key, or a rotated secret's grace
	CodeWrongKind         Code = "wrong_kind"         // an admin key at a server, or the reverse
	CodeWrongAudience     Code = "wrong_audience"     // made for another server
	CodeIPNotAllowed      Code = "ip_not_allowed"     // called from elsewhere
	CodeRateLimited       Code = "rate_limited"       // too often
	CodeInsufficientScope Code = "insufficient_scope" // authenticated, but not granted this
	CodeUnavailable       Code = "unavailable"        // the store cannot be read, or the row's seal is broken
)

// Decision is the outcome of authenticating one request. The zero value denies.
type Decision struct {
	Code       Code
	Identity   *Identity     // nil unless Valid
	KeyID      string        // the id that a well-formed token names, proved or not, for logs
	Secret     int64         // the number of the secret that was proved; zero when none was
	Ends       time.Time     // with valid: when the key or that secret expires; zero means never. With superseded: when that secret ended
	Newer      bool          // with valid: a rotation has made a newer secret of the key
	RetryAfter time.Duration // with rate_limited and unavailable: when to come back
	Cause      error         // with unavailable: what went wrong, for the operator's log only
	Flaw       string        // with malformed and not_found: see [Flaw]; for the operator's log only
	Lacks      *Lack         // with insufficient_scope and wrong_audience: what the key lacks, for logs; else nil

	// The limit that this was counted against: with valid and rate_limited. It is the key's
	// rate limit, or, for a request that carries calls, [RateLimit.Requests] of it.
	// Rate_limited with a zero Limit is no limit of a key, but the one on unknown keys from
	// one address.
	Limit     RateLimit
	Remaining int           // how many calls fit now, at a cost of one each
	Reset     time.Duration // until the whole burst fits again
}

// Lack says what was asked of a good key in vain. It is for logs and for those who hold
// the key store: a caller hears no more of it than the scopes that its call takes.
type Lack struct {
	Required []string // with insufficient_scope: the scopes that were asked for
	Missing  []string // and those of them that were not granted
	Audience string   // with wrong_audience: the server that was called; empty for one without a name
	Offered  []string // and the servers that the key is for
}

// Proved reports whether the caller showed a key's whole secret, whatever became of it.
func (d Decision) Proved() bool { return d.Secret != 0 }

// Valid reports whether the request may proceed. Scopes are a further question:
// [Identity.Allows].
func (d Decision) Valid() bool { return d.Code == CodeValid && d.Identity != nil }

// Authorize narrows a valid decision to one that needs required: what was valid
// and does not grant all of them becomes insufficient_scope. Every surface that
// refuses for scopes does so through here.
func (d Decision) Authorize(required ...string) Decision {
	if !d.Valid() || d.Identity.AllowsAll(required...) {
		return d
	}
	missing := slices.DeleteFunc(slices.Clone(required), d.Identity.Allows)
	d.Code, d.Identity, d.Lacks = CodeInsufficientScope, nil, &Lack{Required: slices.Clone(required), Missing: missing}
	return d
}

// Refuse turns a valid decision into a refusal for a reason that showed later. What was
// found out about the caller stays in it.
func (d Decision) Refuse(code Code) Decision {
	d.Code, d.Identity = code, nil
	return d
}

// Demand is what a place asks of every key that comes to it.
type Demand struct {
	Kind     Kind       // which keys belong here; empty means [KindKey]
	Audience string     // the server's own name; empty accepts only keys for every server
	Any      bool       // every live key belongs here, whatever its kind and audience: for answers about the key itself
	ClientIP netip.Addr // where the call comes from; the zero Addr is in no range
}

// Admit judges the state of a key whose secret s was just proved. It holds the
// order of the decision after format, id and digest:
//
//	revoked, disabled, expired (the key, then the secret), kind, audience, client IP
//
// Rate limit and usage follow, counted by the verifier. A dead key is told so
// before anything else is said about it.
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

// serves: a key for no server in particular is good at every one; a place without
// a name takes only such keys. An admin key's audience is no address but the limit
// of what it may administer, so it is not asked here.
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
