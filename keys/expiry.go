package keys

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Expiry says when a key expires: after a duration, at an instant, or never. The zero
// value means [DefaultLife].
type Expiry struct {
	mode expiryMode
	in   time.Duration
	at   time.Time
}

type expiryMode uint8

const (
	expiryDefault expiryMode = iota
	expiryIn
	expiryAt
	expiryNever
)

// NeverExpires is for keys without an expiry. It is never the default.
func NeverExpires() Expiry { return Expiry{mode: expiryNever} }

// ExpiresAt is for keys that end at t.
func ExpiresAt(t time.Time) Expiry { return Expiry{mode: expiryAt, at: t} }

// IsDefault reports whether e is the zero value.
func (e Expiry) IsDefault() bool { return e.mode == expiryDefault }

// String renders what [ParseExpiry] reads; empty for the default.
func (e Expiry) String() string {
	switch e.mode {
	case expiryNever:
		return "never"
	case expiryIn:
		return FormatDuration(e.in)
	case expiryAt:
		return e.at.UTC().Format(time.RFC3339Nano)
	}
	return ""
}

// IsFixed reports whether e does not depend on the present time: an instant, or never.
func (e Expiry) IsFixed() bool { return e.mode == expiryAt || e.mode == expiryNever }

// IsInstant reports whether e names a time, and not a duration, never or nothing.
func (e Expiry) IsInstant() bool { return e.mode == expiryAt }

// ParseExpiry reads a duration (90d, 12w, 36h, 1y), a date
// (2027-01-31, its first instant in UTC), an RFC 3339 time, or never. Empty means
// [DefaultLife].
func ParseExpiry(text string) (Expiry, error) {
	switch text {
	case "":
		return Expiry{}, nil
	case "never":
		return NeverExpires(), nil
	}
	if in, err := ParseDuration(text); err == nil {
		if in <= 0 {
			return Expiry{}, Invalid("expires", "must be longer than 0, such as 90d")
		}
		return Expiry{mode: expiryIn, in: in}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if at, err := time.Parse(layout, text); err == nil {
			return ExpiresAt(at), nil
		}
	}
	return Expiry{}, Invalid("expires", "must be a duration (90d, 12w, 36h, 1y), a date (2027-01-31), an RFC 3339 time, or never")
}

// lastExpiry limits instants to the ones that can be stored and printed.
var lastExpiry = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// At resolves the expiry for a key made at now; zero means never. It refuses times
// in the past and after the year 9999.
func (e Expiry) At(now time.Time) (time.Time, error) {
	at := now.Add(DefaultLife)
	switch e.mode {
	case expiryNever:
		return time.Time{}, nil
	case expiryAt:
		at = e.at
	case expiryIn:
		at = now.Add(e.in)
	}
	at = StoredTime(at)
	if at.After(lastExpiry) {
		return time.Time{}, Invalid("expires", "must be before the year 10000; use never for a key that does not expire")
	}
	if !at.After(now) { // not expired(): the year 1 is Go's zero time, which would mean never
		return time.Time{}, Invalid("expires", "is in the past; use a later date, or a duration such as 90d")
	}
	return at, nil
}

// units are the suffixes of a duration. A year is 365 days.
var units = []struct {
	suffix byte
	length time.Duration
}{
	{'y', 365 * 24 * time.Hour},
	{'w', 7 * 24 * time.Hour},
	{'d', 24 * time.Hour},
	{'h', time.Hour},
	{'m', time.Minute},
	{'s', time.Second},
}

// ParseDuration reads a whole number and one of s m h d w y: 45s, 24h, 90d. It
// refuses signs, fractions and more than 292 years.
func ParseDuration(text string) (time.Duration, error) {
	bad := Invalid("duration", "must be a whole number and a unit: s, m, h, d, w or y, such as 24h or 90d")
	if len(text) < 2 {
		return 0, bad
	}
	number, suffix := text[:len(text)-1], text[len(text)-1]
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil {
		return 0, bad
	}
	for _, u := range units {
		if u.suffix != suffix {
			continue
		}
		if n > uint64(math.MaxInt64/u.length) { //nolint:gosec // every length is positive
			return 0, bad
		}
		return time.Duration(n) * u.length, nil
	}
	return 0, bad
}

// FormatDuration renders d in the largest unit that divides it: 90d becomes 90d,
// 24h becomes 1d. Weeks and years become days, which are easier to read.
func FormatDuration(d time.Duration) string {
	for _, u := range units {
		if strings.IndexByte("dhms", u.suffix) >= 0 && d >= u.length && d%u.length == 0 {
			return strconv.FormatInt(int64(d/u.length), 10) + string(u.suffix)
		}
	}
	return d.String()
}
