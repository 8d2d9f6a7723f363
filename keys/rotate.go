package keys

import (
	"context"
	"slices"
	"time"
)

// DefaultGrace is how long a rotated key's old secret stays good when nobody says
// otherwise.
const DefaultGrace = 24 * time.Hour

// RotateRequest says how a key gets a new secret. The zero value lets the old one
// stay good for [DefaultGrace].
type RotateRequest struct {
	// Grace is how long the old secret stays good; nil means [DefaultGrace], 0 ends
	// it at once.
	Grace *time.Duration
	// Finish ends the grace of the rotation before: the old secret is gone at once,
	// and no new one is made. It goes without Grace.
	Finish bool
}

// ParseGrace reads how long an old secret stays good: a duration (24h, 7d), or 0. Empty
// means [DefaultGrace], and is nil.
func ParseGrace(text string) (*time.Duration, error) {
	switch text {
	case "":
		return nil, nil
	case "0":
		return new(time.Duration), nil
	}
	d, err := ParseDuration(text)
	if err != nil {
		return nil, invalid("grace", "must be a duration (24h, 7d), or 0 to end the old secret at once")
	}
	return &d, nil
}

func (req *RotateRequest) validate() error {
	switch {
	case req.Finish && req.Grace != nil:
		return invalid("grace", "goes with a rotation, not with finish, which ends the grace at once")
	case req.Grace != nil && *req.Grace < 0:
		return invalid("grace", "must not be negative; 0 ends the old secret at once")
	}
	return nil
}

func (req *RotateRequest) grace() time.Duration {
	if req.Grace == nil {
		return DefaultGrace
	}
	return *req.Grace
}

// Rotate implements [Manager].
func (m *LocalManager) Rotate(ctx context.Context, id string, req RotateRequest) (Issued, error) {
	if err := req.validate(); err != nil {
		return Issued{}, err
	}
	if req.Finish {
		k, err := m.change(ctx, id, ActionFinish, "", func(k *Key, _ time.Time) error { return k.finish() })
		return Issued{Key: k}, err
	}
	unused, err := m.unusedSecret(ctx, id)
	if err != nil {
		return Issued{}, err
	}
	var token Token
	k, err := m.change(ctx, id, ActionRotate, "", func(k *Key, now time.Time) error {
		token = newToken(k.Kind, k.ID)
		digest, pepperID := m.store.Peppers().Digest(token.Secret())
		fresh := KeySecret{Scheme: SchemeHMAC, PepperID: pepperID, Digest: digest[:], CreatedAt: now}
		return k.rotate(fresh, req.grace(), unused)
	})
	if err != nil {
		return Issued{}, err
	}
	return Issued{Key: k, Token: token.Secret()}, nil
}

// unusedSecret returns the number of the key's newest secret if it stands beside an
// older one and was never used, else 0. It is asked before the change, because a
// change must not call the store; the number keeps a rotation that came in between
// from being taken for the one that was looked at.
func (m *LocalManager) unusedSecret(ctx context.Context, id string) (int64, error) {
	k, err := m.Key(ctx, id)
	if err != nil {
		return 0, err
	}
	if len(k.Secrets) < 2 {
		return 0, nil
	}
	newest := &k.Secrets[len(k.Secrets)-1]
	if m.secretUsed(ctx, k, newest) {
		return 0, nil
	}
	return newest.Number, nil
}

// secretUsed reports whether a secret of k may have been accepted anywhere. Guards
// write down what they accept within seconds. Where that cannot be read, or began after
// the secret was made, it may have been used for all anybody knows.
func (m *LocalManager) secretUsed(ctx context.Context, k *Key, secret *KeySecret) bool {
	usage, err := m.store.Usage(ctx, k.ID, m.now())
	if err != nil || usage.Since.After(secret.CreatedAt) {
		return true
	}
	return slices.ContainsFunc(usage.Last, func(use LastUse) bool { return use.Secret == secret.Number })
}

// rotate puts fresh in the first place and gives the secret before it until the end
// of the grace. Secrets stand in the order of their numbers, and the newest alone has
// no end of its own.
func (k *Key) rotate(fresh KeySecret, grace time.Duration, unused int64) error {
	now := fresh.CreatedAt
	switch {
	case !k.DisabledAt.IsZero():
		return conflict("the key is disabled, and a disabled key does not rotate; enable it first")
	case expired(k.ExpiresAt, now):
		return conflict("the key has expired, and rotation revives nobody; issue a new key")
	case len(k.Secrets) == 0:
		return conflict("the key has no secret to replace; issue a new key")
	}
	newest := k.Secrets[len(k.Secrets)-1]
	live := slices.DeleteFunc(slices.Clone(k.Secrets), func(s KeySecret) bool { return expired(s.ExpiresAt, now) })
	if len(live) > 1 && newest.Number == unused {
		live = live[:len(live)-1]
	}
	if len(live) > 1 {
		return conflict("a rotation is under way: the old secret is good until %s; wait for that, or finish the rotation", live[0].ExpiresAt.Format(time.RFC3339))
	}
	fresh.Number = newest.Number + 1
	k.Secrets = append(outgoing(live, earliest(k.ExpiresAt, now.Add(grace)), now), fresh)
	return nil
}

// outgoing gives the secrets that were good until end, and never longer than they
// had: a deadline that was told is kept. What has no time left is dropped.
func outgoing(secrets []KeySecret, end, now time.Time) []KeySecret {
	for i := range secrets {
		secrets[i].ExpiresAt = earliest(secrets[i].ExpiresAt, end)
	}
	return slices.DeleteFunc(secrets, func(s KeySecret) bool { return expired(s.ExpiresAt, now) })
}

// finish leaves the newest secret alone.
func (k *Key) finish() error {
	if len(k.Secrets) < 2 {
		return ErrNoChange
	}
	k.Secrets = k.Secrets[len(k.Secrets)-1:]
	return nil
}

// earliest returns the earlier of two deadlines, of which zero means none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
