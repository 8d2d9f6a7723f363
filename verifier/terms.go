package verifier

import (
	"math"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// terms say when one secret of a key is accepted, ready to be asked by each check. They answer
// as [keys.Key.Admit] does, which is the rule; checks, held connections and lists all ask them.
type terms struct {
	of     *entry
	secret int64     // its number
	newer  bool      // the key has a newer secret
	until  int64     // from then on it is expired, in nanoseconds since 1970
	ends   time.Time // the same; zero means never
}

// termsOf is the terms of s, a secret of e's key.
func termsOf(e *entry, s *keys.KeySecret) terms {
	all := e.known.Secrets
	ends := keys.Earliest(e.expires, s.ExpiresAt)
	return terms{of: e, secret: s.Number, newer: s.Number != all[len(all)-1].Number, until: nanoseconds(ends), ends: ends}
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
	p := t.of.policy
	switch {
	case t.of.dead != "":
		return t.of.dead
	case now >= t.until:
		return keys.CodeExpired
	case !call.Any && p.kind != call.kind():
		return keys.CodeWrongKind
	case !call.Any && !p.serves(call.Audience):
		return keys.CodeWrongAudience
	case !p.allows(call.ClientIP):
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
