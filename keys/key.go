package keys

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Key is one API key as it is stored: its owner, what it may do, and when it ends. It
// never contains the secret. Times are UTC in whole microseconds; a zero time means
// "not set".
//
// A Key read from a store is the reader's own copy.
type Key struct {
	ID    string // public, 12 letters and digits
	Kind  Kind
	Name  string // unique among the owner's unrevoked keys
	Owner string // the person or team responsible for it; may be empty

	// OwnerID will name the owner in the audit log once an owner's name can be erased.
	// It is stored and sealed; nothing sets it yet.
	OwnerID []byte

	Scopes     []string          // granted scopes, wildcards allowed; see [CompileScopes]
	Audience   []string          // the servers it is for; empty means every server of this deployment
	AllowedIPs []netip.Prefix    // allowed client addresses; empty means all
	RateLimit  RateLimit         // zero means unlimited
	Metadata   map[string]string // notes of the operator

	// MaxConcurrent and FinishWhenQuiet are stored and sealed; nothing sets them yet.
	MaxConcurrent   int           // running calls at once; zero means no limit
	FinishWhenQuiet time.Duration // an old secret ends after this time without use; zero means never early

	MaxKeyLife time.Duration // of an admin key: the longest life of ordinary keys that it issues; see [LifeForEver]
	Batch      []byte        // the import that the key came with; nil otherwise

	CreatedAt     time.Time
	CreatedBy     string    // the actor that issued it
	ExpiresAt     time.Time // zero means never
	DisabledAt    time.Time // set while disabled; can be undone
	RevokedAt     time.Time // set once revoked; final
	RevokedReason string

	Version int64       // 1 when issued, one more with each change
	Secrets []KeySecret // one, or two from a rotation until the old one is removed
	Seal    Seal        // over all of the above, with a pepper
}

// KeySecret is what is stored in place of one secret: no part of the secret. The store keeps
// HMAC-SHA-256 of the whole token under a key derived from a pepper (package keys/pepper)
// that lives outside the database; for imported secrets see [Scheme]. Guesses cannot be
// tried against a copy of the database, and a digest copied to another row never verifies,
// because the digest covers the id.
type KeySecret struct {
	Number    int64  // 1 for the first, one more with each rotation
	Scheme    Scheme // how Digest was made
	PepperID  string // the pepper that Digest and Lookup were made with
	Digest    []byte
	Lookup    []byte    // finds an imported secret whose token names no id; nil otherwise
	CreatedAt time.Time // UTC, microseconds
	ExpiresAt time.Time // the end of a rotation's grace; zero means the key's own expiry
}

// LastUse is when and from where one of a key's secrets was last accepted.
type LastUse struct {
	Secret   int64      // its number
	At       time.Time  // UTC, microseconds
	ClientIP netip.Addr // zero when unknown
	Agent    string     // the first word of the client's User-Agent; empty when unknown
}

// Secret returns k's secret with the given number, or nil.
func (k *Key) Secret(number int64) *KeySecret {
	for i := range k.Secrets {
		if k.Secrets[i].Number == number {
			return &k.Secrets[i]
		}
	}
	return nil
}

// Lasting is the secret of k that is valid longest, or nil without one.
func (k *Key) Lasting() (longest *KeySecret) {
	for i := range k.Secrets {
		s := &k.Secrets[i]
		if longest == nil || s.ExpiresAt.IsZero() || !longest.ExpiresAt.IsZero() && s.ExpiresAt.After(longest.ExpiresAt) {
			longest = s
		}
	}
	return longest
}

// Ends is when a secret of k expires: with the key, or earlier with its own grace. Zero
// means never.
func (k *Key) Ends(s *KeySecret) time.Time { return Earliest(k.ExpiresAt, s.ExpiresAt) }

// Status is a key's state at one moment. It is derived, never stored.
type Status string

// The statuses, from good to final.
const (
	StatusActive   Status = "active"
	StatusExpiring Status = "expiring" // valid, and expires in less than [ExpiringWithin]
	StatusExpired  Status = "expired"
	StatusDisabled Status = "disabled"
	StatusRevoked  Status = "revoked"
)

// ParseStatus reads a status, such as active.
func ParseStatus(text string) (Status, error) {
	all := []Status{StatusActive, StatusExpiring, StatusExpired, StatusDisabled, StatusRevoked}
	if s := Status(text); slices.Contains(all, s) {
		return s, nil
	}
	return "", Invalid("status", "must be one of active, expiring, expired, disabled, revoked")
}

// Expired reports whether the key's expiry has passed, also if it is revoked or disabled.
func (k *Key) Expired(now time.Time) bool { return expired(k.ExpiresAt, now) }

// Expired reports whether the grace of the secret is over; never without a grace.
func (s *KeySecret) Expired(now time.Time) bool { return expired(s.ExpiresAt, now) }

// Status derives the key's status at now.
func (k *Key) Status(now time.Time) Status {
	switch {
	case !k.RevokedAt.IsZero():
		return StatusRevoked
	case !k.DisabledAt.IsZero():
		return StatusDisabled
	case expired(k.ExpiresAt, now):
		return StatusExpired
	case !k.ExpiresAt.IsZero() && k.ExpiresAt.Sub(now) < ExpiringWithin:
		return StatusExpiring
	}
	return StatusActive
}

// expired is the rule of expiry: a deadline is the first instant that is too late. It
// uses the wall clock as it is.
func expired(deadline, now time.Time) bool {
	return !deadline.IsZero() && !now.Before(deadline)
}

// StoredTime returns t as stores keep it: UTC, whole microseconds, without the monotonic
// reading, so that what is written equals what is read back.
func StoredTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// Label names k for people: owner/name, or the name alone.
func (k *Key) Label() string { return strings.TrimPrefix(k.Owner+"/"+k.Name, "/") }

// Earliest returns the earlier of two deadlines, of which zero means none.
func Earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// Seal is the row_mac of a key: HMAC-SHA-256, under a key derived from a pepper, over the id of
// the store, every field and every secret's digest. With it, a key whose scope or expiry was
// edited in a database shell becomes unusable ([ErrTampered]), not stronger. It is written with
// each change, and checked where a row enters memory, not per request.
//
// It shows edits made without the pepper. It does not show that a whole older row, with
// its older seal, was put back: the audit chain does.
type Seal struct {
	Format   int64 // how the sealed text is rendered; 1 so far
	PepperID string
	MAC      []byte
}
