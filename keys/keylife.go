package keys

import (
	"math"
	"time"
)

// How long keys live.
const (
	// DefaultLife is the life of a key without a given expiry.
	DefaultLife = 90 * 24 * time.Hour
	// ExpiringWithin is how long before its expiry a key counts as expiring.
	ExpiringWithin = 14 * 24 * time.Hour

	// An admin key limits the life of ordinary keys that it issues. The limit is
	// DefaultMaxKeyLife unless another is given; LifeForEver must be granted.
	DefaultMaxKeyLife = 366 * 24 * time.Hour
	LifeForEver       = time.Duration(math.MaxInt64)
)

// ParseKeyLife reads a bound: a duration (366d, 12w) or never. For an empty text it returns
// 0, which means [DefaultMaxKeyLife].
func ParseKeyLife(text string) (time.Duration, error) {
	switch text {
	case "":
		return 0, nil
	case "never":
		return LifeForEver, nil
	}
	d, err := ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, Invalid("max_key_life", "must be a duration (366d, 12w), or never for no limit")
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

// KeyLife is the limit of an admin key: [DefaultMaxKeyLife] if none is set.
func (k *Key) KeyLife() time.Duration {
	if k.Kind == KindAdmin && k.MaxKeyLife == 0 {
		return DefaultMaxKeyLife
	}
	return k.MaxKeyLife
}

func (k *Key) validateKeyLife() error {
	switch {
	case k.MaxKeyLife < 0:
		return Invalid("max_key_life", "must be a duration (366d, 12w), or never for no limit")
	case k.MaxKeyLife != 0 && k.Kind != KindAdmin:
		return Invalid("max_key_life", "is only for admin keys; leave it out")
	}
	return nil
}
