package keys

import (
	"bytes"
	"net/netip"
	"slices"
	"time"
)

// TakesAway reports whether a guard that still uses before could accept a request that a guard
// with after refuses. It is about the key's fields, whatever the time: a key that was disabled
// or expired before may still be remembered as it was earlier. In doubt it is true.
//
// Name, owner and metadata decide nothing here.
func TakesAway(before, after *Key) bool {
	switch {
	case before.ID != after.ID || before.Kind != after.Kind || !bytes.Equal(before.Batch, after.Batch):
		return true
	case !after.RevokedAt.IsZero() && before.RevokedAt.IsZero(), !after.DisabledAt.IsZero() && before.DisabledAt.IsZero():
		return true
	case endsEarlier(before.ExpiresAt, after.ExpiresAt):
		return true
	case !sameOrMore(before.Audience, after.Audience, slices.Contains[[]string]):
		return true
	case !sameOrMore(before.AllowedIPs, after.AllowedIPs, anyContains):
		return true
	case !before.RateLimit.Within(after.RateLimit) || lower(before.MaxConcurrent, after.MaxConcurrent):
		return true
	case lower(before.FinishWhenQuiet, after.FinishWhenQuiet) || after.KeyLife() < before.KeyLife():
		return true
	}
	return !coversScopes(before, after) || slices.ContainsFunc(before.Secrets, func(s KeySecret) bool { return !keeps(after, &s) })
}

// endsEarlier: zero means never.
func endsEarlier(before, after time.Time) bool {
	return !after.IsZero() && (before.IsZero() || after.Before(before))
}

// lower: zero means without limit.
func lower[N int | time.Duration](before, after N) bool {
	return after != 0 && (before == 0 || after < before)
}

// sameOrMore reports whether after allows all that before does. An empty list allows all.
func sameOrMore[T any](before, after []T, allows func(list []T, one T) bool) bool {
	if len(before) == 0 || len(after) == 0 {
		return len(after) == 0
	}
	return !slices.ContainsFunc(before, func(one T) bool { return !allows(after, one) })
}

func anyContains(list []netip.Prefix, one netip.Prefix) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool {
		return p == one || p.IsValid() && one.IsValid() && p.Bits() <= one.Bits() && p.Contains(one.Addr())
	})
}

func coversScopes(before, after *Key) bool {
	if slices.Equal(before.Scopes, after.Scopes) {
		return true
	}
	was, err := NewIdentity(before)
	if err != nil {
		return false
	}
	is, err := NewIdentity(after)
	return err == nil && is.Covers(was)
}

// keeps reports whether k has the secret, verified and found in the same way and for as long.
func keeps(k *Key, s *KeySecret) bool {
	is := k.Secret(s.Number)
	return is != nil && is.Scheme == s.Scheme && is.PepperID == s.PepperID &&
		bytes.Equal(is.Digest, s.Digest) && bytes.Equal(is.Lookup, s.Lookup) && !endsEarlier(s.ExpiresAt, is.ExpiresAt)
}
