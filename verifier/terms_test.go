package verifier

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

var (
	audiences = []string{"", "a", "b", "c"}
	kinds     = []keys.Kind{"", keys.KindKey, keys.KindAdmin, "other"}
	addresses = []netip.Addr{
		{},
		netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("::ffff:192.0.2.7"), netip.MustParseAddr("198.51.100.1"),
		netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("2001:db8::1"),
	}
	networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("fe80::/64")}
)

func one[T any](list []T) T { return list[rand.IntN(len(list))] }

// someOf is up to three of the list.
func someOf[T any](list []T) (some []T) {
	for range rand.IntN(4) {
		some = append(some, one(list))
	}
	return some
}

// near is never, or a time around now, to the nanosecond.
func near(now time.Time) time.Time {
	steps := []time.Duration{-time.Hour, -1, 0, 1, time.Microsecond, time.Hour}
	if i := rand.IntN(len(steps) + 3); i < len(steps) {
		return now.Add(steps[i])
	}
	return one([]time.Time{{}, {}, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)})
}

func anyKey(now time.Time) *keys.Key {
	k := &keys.Key{
		ID: "abcdefghijkl", Kind: one(kinds[1:]), Audience: someOf(audiences[1:]), AllowedIPs: someOf(networks),
		ExpiresAt: near(now), Secrets: []keys.KeySecret{{Number: 3, ExpiresAt: near(now)}},
	}
	if rand.IntN(2) == 0 {
		k.Secrets = append(k.Secrets, keys.KeySecret{Number: 5, ExpiresAt: near(now)})
	}
	switch rand.IntN(8) {
	case 0:
		k.RevokedAt = now
	case 1:
		k.DisabledAt = now
	case 2:
		k.RevokedAt, k.DisabledAt = now, now
	}
	return k
}

// TestTermsAreAdmit: the terms of a secret answer as the rule does, for every key and every call.
// In particular, a key for two servers is refused at a server without a name.
func TestTermsAreAdmit(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	codes := map[keys.Code]int{}
	for range 300_000 {
		k := anyKey(now)
		call := Call{Kind: one(kinds), Any: rand.IntN(4) == 0, Audience: one(audiences), ClientIP: one(addresses)}
		demand := keys.Demand{Kind: call.Kind, Any: call.Any, Audience: call.Audience, ClientIP: call.ClientIP}
		e := newEntry(k)
		for i := range k.Secrets {
			s := &k.Secrets[i]
			made, ok := e.terms(s.Number)
			if !ok {
				t.Fatalf("no terms of secret %d of %+v", s.Number, k)
			}
			got, want := made.admit(now.UnixNano(), &call), k.Admit(s, now, demand)
			if got != want {
				t.Fatalf("got %s, want %s for secret %d of\n%+v\nand the call\n%+v", got, want, s.Number, k, call)
			}
			if !made.ends.Equal(k.Ends(s)) || made.newer != (i+1 < len(k.Secrets)) || made.secret != s.Number {
				t.Fatalf("got %+v for secret %d of\n%+v", made, s.Number, k)
			}
			codes[got]++
		}
	}
	for _, code := range []keys.Code{
		keys.CodeValid, keys.CodeRevoked, keys.CodeDisabled, keys.CodeExpired, keys.CodeWrongKind, keys.CodeWrongAudience, keys.CodeIPNotAllowed,
	} {
		if codes[code] < 1000 {
			t.Errorf("%s came %d times, too few to show anything: %v", code, codes[code], codes)
		}
	}
}

// A secret that the key does not have has no terms.
func TestNoTerms(t *testing.T) {
	e := newEntry(&keys.Key{ID: "abcdefghijkl", Secrets: []keys.KeySecret{{Number: 1}}})
	if got, ok := e.terms(2); ok {
		t.Errorf("got %+v", got)
	}
}
