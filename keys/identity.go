package keys

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/mcpkeys/mcpkeys/keys/internal/ctxkey"
)

// Identity is the caller: the key that a request was authenticated with, as it was at
// that moment. It is immutable, safe for concurrent use, and contains no secret. A nil
// Identity allows nothing.
type Identity struct {
	keyID     string
	name      string
	owner     string
	metadata  map[string]string
	expiresAt time.Time
	grant     *grant // nil: nothing
}

// grant is what many keys have in common. It is immutable, and identities share it.
type grant struct {
	kind     Kind
	scopes   *Scopes
	audience []string
	ips      []netip.Prefix
	keyLife  time.Duration
	rate     RateLimit
}

// NewIdentity makes the identity of a caller with k. It fails if k's scopes do not
// compile, which cannot happen after [Key.Validate].
func NewIdentity(k *Key) (*Identity, error) { return NewIdentityLike(k, nil) }

// NewIdentityLike is [NewIdentity]. Where k has the kind, scopes, audience, addresses and limits of
// other, which may be nil, the two identities share the memory of these.
func NewIdentityLike(k *Key, other *Identity) (*Identity, error) {
	i := &Identity{keyID: k.ID, name: k.Name, owner: k.Owner, metadata: maps.Clone(k.Metadata), expiresAt: k.ExpiresAt}
	if other != nil && other.grant != nil && other.grant.isOf(k) {
		i.grant = other.grant
		return i, nil
	}
	scopes, err := CompileScopes(k.Scopes)
	if err != nil {
		return nil, err
	}
	i.grant = &grant{
		kind: k.Kind, scopes: scopes, audience: slices.Clone(k.Audience), ips: slices.Clone(k.AllowedIPs),
		keyLife: k.KeyLife(), rate: k.RateLimit,
	}
	return i, nil
}

// nothing is what a nil or zero Identity grants.
var nothing grant

func (i *Identity) granted() *grant {
	if i == nil || i.grant == nil {
		return &nothing
	}
	return i.grant
}

// isOf reports whether k grants exactly g.
func (g *grant) isOf(k *Key) bool {
	return g.kind == k.Kind && g.keyLife == k.KeyLife() && g.rate == k.RateLimit &&
		slices.Equal(g.scopes.granted, k.Scopes) && slices.Equal(g.audience, k.Audience) && slices.Equal(g.ips, k.AllowedIPs)
}

// KeyID is the key's public id, stable over rotations.
func (i *Identity) KeyID() string {
	if i == nil {
		return ""
	}
	return i.keyID
}

// Kind is the sort of key.
func (i *Identity) Kind() Kind { return i.granted().kind }

// Name is the key's name.
func (i *Identity) Name() string {
	if i == nil {
		return ""
	}
	return i.name
}

// Owner is the key's owner; empty if it has none.
func (i *Identity) Owner() string {
	if i == nil {
		return ""
	}
	return i.owner
}

// Scopes returns a copy of the granted scopes, which may contain wildcards. To decide,
// use [Identity.Allows].
func (i *Identity) Scopes() []string { return i.granted().scopes.Granted() }

// Audience returns a copy of the servers that the key is for; empty means all of
// this deployment.
func (i *Identity) Audience() []string { return slices.Clone(i.granted().audience) }

// AllowedIPs returns a copy of the allowed client addresses; empty means all.
func (i *Identity) AllowedIPs() []netip.Prefix { return slices.Clone(i.granted().ips) }

// Metadata returns a copy of the key's metadata.
func (i *Identity) Metadata() map[string]string {
	if i == nil {
		return nil
	}
	return maps.Clone(i.metadata)
}

// ExpiresAt is when the key expires; zero means never.
func (i *Identity) ExpiresAt() time.Time {
	if i == nil {
		return time.Time{}
	}
	return i.expiresAt
}

// MaxKeyLife limits the life of ordinary keys that an admin key issues: [LifeForEver]
// means no limit, zero is for keys that issue none.
func (i *Identity) MaxKeyLife() time.Duration { return i.granted().keyLife }

// RateLimit is how often the key may call; zero means without limit.
func (i *Identity) RateLimit() RateLimit { return i.granted().rate }

// Allows reports whether the caller was granted the literal scope required. It is
// pure and counts nothing: call it as often as needed, for lists as for calls.
func (i *Identity) Allows(required string) bool {
	return i.granted().scopes.Allows(required)
}

// AllowsAll reports whether every scope of required is granted; true if there are none.
func (i *Identity) AllowsAll(required ...string) bool {
	if i == nil {
		return false
	}
	for _, r := range required {
		if !i.granted().scopes.Allows(r) {
			return false
		}
	}
	return true
}

// Covers reports whether i was granted every scope that other was. A scope with a wildcard
// is covered only by the same scope or by *.
func (i *Identity) Covers(other *Identity) bool {
	if i == nil || other == nil {
		return other == nil
	}
	mine := i.granted().scopes.Granted()
	return !slices.ContainsFunc(other.granted().scopes.Granted(), func(scope string) bool {
		literal := ValidateRequired(scope) == nil
		return !slices.Contains(mine, scope) && !slices.Contains(mine, "*") && (!literal || !i.granted().scopes.Allows(scope))
	})
}

// NewContext returns ctx with the caller's identity in it. Guards call it.
func NewContext(ctx context.Context, i *Identity) context.Context {
	return context.WithValue(ctx, ctxkey.Identity{}, i)
}

// IdentityFrom tells a handler which key is calling. Without a guard before the handler
// it returns nil and false; the nil Identity allows nothing.
func IdentityFrom(ctx context.Context) (*Identity, bool) {
	i, _ := ctx.Value(ctxkey.Identity{}).(*Identity)
	return i, i != nil
}
