package admin

import (
	"context"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// EditRequest says what to change about a key. A nil field stays as it is; another one replaces
// the whole value.
type EditRequest struct {
	Name       *string
	Owner      *string
	Scopes     *[]string
	Audience   *[]string
	AllowedIPs *[]netip.Prefix
	RateLimit  *keys.RateLimit // the zero limit removes it
	Metadata   *map[string]string
	Expires    *keys.Expiry   // durations count from now
	MaxKeyLife *time.Duration // of an admin key; [keys.LifeForEver] removes the limit

	// IfVersion makes the edit fail with ErrVersion unless the key is at that version; 0 means
	// any version.
	IfVersion int64
}

// isEmpty reports whether the request changes nothing.
func (req EditRequest) isEmpty() bool {
	req.IfVersion = 0
	return req == EditRequest{}
}

// Validate reports the rules that the request breaks by itself, as [keys.Key.Validate] does.
// Only [Manager.Edit] can check it against the key.
func (req EditRequest) Validate() error {
	switch {
	case req.isEmpty():
		return keys.Invalid("edit", "changes nothing; give at least one field, such as the name or the scopes")
	case req.IfVersion < 0:
		return keys.Invalid("if_version", "must be the version that the key was read with")
	}
	expires := validExpires(req.Expires)
	sample := &keys.Key{Kind: keys.KindKey, Name: "any"}
	if req.MaxKeyLife != nil {
		if *req.MaxKeyLife == 0 {
			return keys.Invalid("max_key_life", "is empty; give a duration (366d), or never")
		}
		sample.Kind = keys.KindAdmin
		req.Scopes = nil // which scopes are valid depends on the kind, which only the store knows
	}
	req.Expires = nil
	return keys.AllOf(req.apply(sample, time.Time{}), expires)
}

// validExpires refuses the zero expiry: a request gives an expiry or leaves it out.
func validExpires(e *keys.Expiry) error {
	if e != nil && e.IsDefault() {
		return keys.Invalid("expires", "is empty; give a duration (90d), a date (2027-01-31), or never")
	}
	return nil
}

// Edit implements [Manager].
func (m *Local) Edit(ctx context.Context, id string, req EditRequest) (*keys.Key, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	return m.change(ctx, id, audit.ActionEdit, "", func(k *keys.Key, now time.Time) error {
		if req.IfVersion != 0 && req.IfVersion != k.Version {
			return keys.ErrVersion
		}
		was := *k
		if err := req.apply(k, now); err != nil {
			return err
		}
		if reflect.DeepEqual(was, *k) {
			return keys.ErrNoChange
		}
		return nil
	})
}

// apply changes k as req says. It shares no memory with req afterwards, and does not change the
// lists that k had.
func (req *EditRequest) apply(k *keys.Key, now time.Time) error {
	set(&k.Name, req.Name)
	set(&k.Owner, req.Owner)
	set(&k.RateLimit, req.RateLimit)
	set(&k.MaxKeyLife, req.MaxKeyLife)
	if req.Scopes != nil {
		k.Scopes = unique(*req.Scopes)
	}
	if req.Audience != nil {
		k.Audience = unique(*req.Audience)
	}
	if req.AllowedIPs != nil {
		k.AllowedIPs = unique(*req.AllowedIPs)
	}
	if req.Metadata != nil {
		k.Metadata = maps.Clone(*req.Metadata)
		if len(k.Metadata) == 0 {
			k.Metadata = nil // nil is the only form of empty metadata
		}
	}
	if req.Expires != nil {
		if err := moveExpiry(k, *req.Expires, now); err != nil {
			return err
		}
	}
	return k.Validate()
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// moveExpiry changes the expiry of a key that has not expired. An expired key stays expired:
// guards refused it, and must not accept it again. A secret in its grace never outlives its
// key, and does not gain time when the key does.
func moveExpiry(k *keys.Key, e keys.Expiry, now time.Time) error {
	at, err := e.At(now)
	if err != nil {
		return err
	}
	if k.Expired(now) {
		return keys.Conflict("this key has expired and cannot get a new expiry; issue a new key")
	}
	k.ExpiresAt = at
	k.Secrets = slices.Clone(k.Secrets)
	for i := range k.Secrets {
		if s := &k.Secrets[i]; !s.ExpiresAt.IsZero() {
			s.ExpiresAt = keys.Earliest(s.ExpiresAt, at)
		}
	}
	return nil
}
