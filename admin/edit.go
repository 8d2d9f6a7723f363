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

// EditRequest says what shall be different about a key. A nil field stays as it is;
// one that is given replaces all that was there.
type EditRequest struct {
	Name       *string
	Owner      *string
	Scopes     *[]string
	Audience   *[]string
	AllowedIPs *[]netip.Prefix
	RateLimit  *keys.RateLimit // the zero limit lifts it
	Metadata   *map[string]string
	Expires    *keys.Expiry   // durations count from now
	MaxKeyLife *time.Duration // of an admin key; [keys.LifeForEver] lifts the bound

	// IfVersion makes the edit fail with ErrVersion unless the key is at that
	// version; 0 does not care.
	IfVersion int64
}

// isEmpty reports whether nothing is asked for.
func (req EditRequest) isEmpty() bool {
	req.IfVersion = 0
	return req == EditRequest{}
}

// Validate reports the rules that the request breaks by itself, as [keys.Key.Validate] does. What the key makes of it only [Manager.Edit] can tell.
func (req EditRequest) Validate() error {
	switch {
	case req.isEmpty():
		return keys.Invalid("edit", "names nothing to change; name at least one thing, such as the name or the scopes")
	case req.IfVersion < 0:
		return keys.Invalid("if_version", "must be the version that the key was read with")
	}
	expires := validExpires(req.Expires)
	sample := &keys.Key{Kind: keys.KindKey, Name: "any"}
	if req.MaxKeyLife != nil {
		if *req.MaxKeyLife == 0 {
			return keys.Invalid("max_key_life", "is empty; name a duration (366d), or never")
		}
		sample.Kind = keys.KindAdmin
		req.Scopes = nil // which ones there may be depends on the kind that only the store knows
	}
	req.Expires = nil
	return keys.AllOf(req.apply(sample, time.Time{}), expires)
}

// validExpires refuses the expiry that leaves it open: a change names one or none.
func validExpires(e *keys.Expiry) error {
	if e != nil && e.IsDefault() {
		return keys.Invalid("expires", "is empty; name a duration (90d), a date (2027-01-31), or never")
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

// apply makes k what it shall be. It shares nothing with req afterwards, and alters
// none of the lists that k had.
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
			k.Metadata = nil // there is one way to have none
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

// moveExpiry gives a living key another end. A dead one stays dead: whoever refused
// it was right to, and goes on to be. A secret in its grace never outlives its key,
// and gains nothing when the key does.
func moveExpiry(k *keys.Key, e keys.Expiry, now time.Time) error {
	at, err := e.At(now)
	if err != nil {
		return err
	}
	if k.Expired(now) {
		return keys.Conflict("the key has expired, and no edit revives it; issue a new key")
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
