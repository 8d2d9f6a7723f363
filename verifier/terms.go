package verifier

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// terms say when one secret of a key is accepted, ready to be asked by each check. They answer
// as [keys.Key.Admit] does, which is the rule; checks, held connections and lists all ask them.
type terms struct {
	keyID    string
	secret   int64     // its number
	newer    bool      // the key has a newer secret
	dead     keys.Code // revoked or disabled; else empty
	until    int64     // from then on it is expired, in nanoseconds since 1970
	ends     time.Time // the same; zero means never
	kind     keys.Kind
	audience []string // empty: every server
	ips      []netip.Prefix
}

// termsOf is the terms of s, a secret of k.
func termsOf(k *keys.Key, s *keys.KeySecret) terms {
	t := terms{
		keyID: k.ID, secret: s.Number, newer: s.Number != k.Secrets[len(k.Secrets)-1].Number,
		ends: k.Ends(s), kind: k.Kind, audience: k.Audience, ips: k.AllowedIPs,
	}
	t.until = nanoseconds(t.ends)
	switch {
	case !k.RevokedAt.IsZero():
		t.dead = keys.CodeRevoked
	case !k.DisabledAt.IsZero():
		t.dead = keys.CodeDisabled
	}
	if k.Kind == keys.KindAdmin { // its audience limits what it administers, and not where it is valid
		t.audience = nil
	}
	return t
}

// nanoseconds is the time since 1970; the zero time means never. Times that do not fit, before
// 1678 and after 2261, are as far away as one that does.
func nanoseconds(t time.Time) int64 {
	switch s := t.Unix(); {
	case t.IsZero(), s >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	case s <= math.MinInt64/int64(time.Second):
		return math.MinInt64
	}
	return t.UnixNano()
}

// admit judges a call at that time, by the source's clock.
func (t *terms) admit(now int64, call *Call) keys.Code {
	switch {
	case t.dead != "":
		return t.dead
	case now >= t.until:
		return keys.CodeExpired
	case !call.Any && t.kind != call.kind():
		return keys.CodeWrongKind
	case !call.Any && len(t.audience) > 0 && !slices.Contains(t.audience, call.Audience):
		return keys.CodeWrongAudience
	case len(t.ips) > 0 && !t.allows(call.ClientIP):
		return keys.CodeIPNotAllowed
	}
	return keys.CodeValid
}

// kind is the kind of key that the call requires.
func (c *Call) kind() keys.Kind {
	if c.Kind == "" {
		return keys.KindKey
	}
	return c.Kind
}

// allows: the client address may not be known, or be IPv4 in the form of IPv6.
func (t *terms) allows(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	return slices.ContainsFunc(t.ips, func(p netip.Prefix) bool { return p.Contains(ip) })
}
