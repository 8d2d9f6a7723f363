package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// DefaultGrace is how long a rotated key's old secret stays valid by default.
const DefaultGrace = 24 * time.Hour

// RotateRequest says how a key gets a new secret. With the zero value the old one stays valid
// for [DefaultGrace]; while two secrets are valid, it fails with a [*RotationError].
type RotateRequest struct {
	// Grace is how long the old secret stays valid; nil means [DefaultGrace], 0 ends it at
	// once.
	Grace *time.Duration
	// Expires also gives the key a new expiry; nil leaves it as it is. A duration counts from
	// now.
	Expires *keys.Expiry
	// Finish is the number of the old secret during a rotation: that secret ends at once, and
	// no new one is made. It cannot be combined with other fields.
	Finish int64
	// Replace is the number of the newest secret: that one ends at once, and the new one takes
	// its place. An old secret keeps its end. It cannot be combined with Grace.
	Replace int64
}

// ParseGrace parses how long an old secret stays valid: a duration (24h, 7d), or 0. Empty means
// [DefaultGrace], and is nil.
func ParseGrace(text string) (*time.Duration, error) {
	switch text {
	case "":
		return nil, nil
	case "0":
		return new(time.Duration), nil
	}
	d, err := keys.ParseDuration(text)
	if err != nil {
		return nil, keys.Invalid("grace", "must be a duration (24h, 7d), or 0 to end the old secret at once")
	}
	return &d, nil
}

// Validate reports the first rule that the request breaks by itself, as a
// [*keys.InvalidError].
func (req *RotateRequest) Validate() error {
	switch {
	case req.Finish < 0:
		return keys.Invalid("finish", "must be the number of the old secret")
	case req.Replace < 0:
		return keys.Invalid("replace", "must be the number of the newest secret")
	case req.Finish != 0 && req.Replace != 0:
		return keys.Invalid("replace", "cannot be combined with finish: one ends the old secret, the other the newest")
	case req.Finish != 0 && req.Expires != nil:
		return keys.Invalid("expires", "cannot be combined with finish, which makes no secret; edit the key instead")
	case req.Grace != nil && (req.Finish != 0 || req.Replace != 0):
		return keys.Invalid("grace", "cannot be combined with finish or replace, which end a secret at once")
	case req.Grace != nil && *req.Grace < 0:
		return keys.Invalid("grace", "must not be negative; 0 ends the old secret at once")
	}
	return validExpires(req.Expires)
}

func (req *RotateRequest) grace() time.Duration {
	if req.Grace == nil {
		return DefaultGrace
	}
	return *req.Grace
}

// RotationError is a [keys.ErrConflict]: the key has two valid secrets, or Finish or Replace
// does not name the right one. It has the numbers that [RotateRequest] takes.
type RotationError struct {
	Old    int64     // the old secret that is still valid; 0 if there is none
	Until  time.Time // when Old ends
	Newest int64
}

func (e *RotationError) Error() string {
	if e.Old == 0 {
		return fmt.Sprintf("secret %d is the key's only valid secret; rotate the key, or use replace %[1]d to end that secret at once", e.Newest)
	}
	return fmt.Sprintf("this key has two valid secrets: %d, which ends at %s, and %d; finish %[1]d ends secret %[1]d now, replace %[3]d ends secret %[3]d now and makes another",
		e.Old, e.Until.UTC().Format(time.RFC3339), e.Newest)
}

// Unwrap returns [keys.ErrConflict].
func (e *RotationError) Unwrap() error { return keys.ErrConflict }

// Rotate implements [Manager].
func (m *Local) Rotate(ctx context.Context, id string, req RotateRequest) (Issued, error) {
	if err := req.Validate(); err != nil {
		return Issued{}, err
	}
	if req.Finish != 0 {
		ctx = m.taking(ctx, func(k *keys.Key) bool { s := k.Secret(req.Finish); return s == nil || s.Expired(m.Now()) })
		k, err := m.change(ctx, id, audit.ActionFinish, "", func(k *keys.Key, now time.Time) error { return finish(k, req.Finish, now) })
		return Issued{Key: k}, err
	}
	var token keys.Token
	k, err := m.change(ctx, id, audit.ActionRotate, "", func(k *keys.Key, now time.Time) error {
		token = keys.NewTokenFor(k.Kind, k.ID)
		digest, pepperID := m.store.Peppers().Digest(token.Secret())
		fresh := keys.KeySecret{Scheme: keys.SchemeHMAC, PepperID: pepperID, Digest: digest[:], CreatedAt: now}
		return rotate(k, fresh, &req)
	})
	if err != nil {
		return Issued{}, err
	}
	return Issued{Key: k, Token: token.Secret()}, nil
}

// rotate adds fresh. Secrets are ordered by number, and only the newest has no end of its own.
// The request decides which secret ends: whether one was used is not known for sure.
func rotate(k *keys.Key, fresh keys.KeySecret, req *RotateRequest) error {
	now := fresh.CreatedAt
	switch {
	case !k.DisabledAt.IsZero():
		return keys.Conflict("this key is disabled and cannot be rotated; enable it first")
	case k.Expired(now):
		return keys.Conflict("this key has expired and cannot be rotated; issue a new key")
	case len(k.Secrets) == 0:
		return keys.Conflict("this key has no secret to replace; issue a new key")
	}
	newest := k.Secrets[len(k.Secrets)-1].Number
	if outgoing(k, now) != nil && req.Replace == 0 || req.Replace != 0 && req.Replace != newest {
		return rotationError(k, now)
	}
	if req.Expires != nil {
		if err := moveExpiry(k, *req.Expires, now); err != nil {
			return err
		}
	}
	end := keys.Earliest(k.ExpiresAt, now.Add(req.grace()))
	if req.Replace != 0 {
		end = now
	}
	fresh.Number = newest + 1
	k.Secrets = append(endNewest(k.Secrets, end, now), fresh)
	return nil
}

// outgoing is the old secret during a rotation at now, or nil.
func outgoing(k *keys.Key, now time.Time) *keys.KeySecret {
	if len(k.Secrets) < 2 || k.Secrets[0].Expired(now) {
		return nil
	}
	return &k.Secrets[0]
}

func rotationError(k *keys.Key, now time.Time) error {
	e := &RotationError{Newest: k.Secrets[len(k.Secrets)-1].Number}
	if old := outgoing(k, now); old != nil {
		e.Old, e.Until = old.Number, k.Ends(old)
	}
	return e
}

// endNewest returns the secrets with the newest ending at end, without those already ended.
// An older one keeps its end: an announced deadline does not change.
func endNewest(secrets []keys.KeySecret, end, now time.Time) []keys.KeySecret {
	out := slices.Clone(secrets)
	out[len(out)-1].ExpiresAt = end
	return slices.DeleteFunc(out, func(s keys.KeySecret) bool { return s.Expired(now) })
}

// finish ends the old secret of a rotation. If it has ended already, that is fine.
func finish(k *keys.Key, number int64, now time.Time) error {
	if len(k.Secrets) == 0 {
		return keys.Conflict("this key has no secret to end; issue a new key")
	}
	newest := k.Secrets[len(k.Secrets)-1]
	old := outgoing(k, now)
	switch {
	case old == nil && number < newest.Number:
		return keys.ErrNoChange
	case old == nil || number != old.Number:
		return rotationError(k, now)
	}
	k.Secrets = []keys.KeySecret{newest}
	return nil
}
