package keys

import (
	"math"
	"time"
)

// How long keys live.
const (
	// DefaultLife is the life of a key whose issuer names no end.
	DefaultLife = 90 * 24 * time.Hour
	// ExpiringWithin is how long before its end a key counts as expiring.
	ExpiringWithin = 14 * 24 * time.Hour

	// An admin key bounds how long the ordinary keys live that it issues. LifeForEver must
	// be granted; an admin key for which no bound is named gets DefaultMaxKeyLife.
	DefaultMaxKeyLife = 366 * 24 * time.Hour
	LifeForEver       = time.Duration(math.MaxInt64)
)

// ParseKeyLife reads a bound: a duration (366d, 12w) or never. Empty means
// [DefaultMaxKeyLife], and is 0.
func ParseKeyLife(text string) (time.Duration, error) {
	switch text {
	case "":
		return 0, nil
	case "never":
		return LifeForEver, nil
	}
	d, err := ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, Invalid("max_key_life", "must be a duration (366d, 12w), or never to let keys live for ever")
	}
	return d, nil
}

// FormatKeyLife renders what [ParseKeyLife] reads; empty for 0.
func FormatKeyLife(d time.Duration) string {
	switch d {
	case 0:
		return ""
	case LifeForEver:
		return "never"
	}
	return FormatDuration(d)
}

// KeyLife is the bound of an admin key. One that has none set is not without a bound.
func (k *Key) KeyLife() time.Duration {
	if k.Kind == KindAdmin && k.MaxKeyLife == 0 {
		return DefaultMaxKeyLife
	}
	return k.MaxKeyLife
}

func (k *Key) validateKeyLife() error {
	switch {
	case k.MaxKeyLife < 0:
		return Invalid("max_key_life", "must be a duration (366d, 12w), or never to let keys live for ever")
	case k.MaxKeyLife != 0 && k.Kind != KindAdmin:
		return Invalid("max_key_life", "belongs to admin keys: it bounds the keys that they issue; leave it out")
	}
	return nil
}
