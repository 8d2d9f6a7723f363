package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// IssueRequest describes a new key.
type IssueRequest struct {
	Kind       keys.Kind // empty means KindKey
	Name       string
	Owner      string
	Scopes     []string // none grants nothing; an admin key gets [keys.AdminScopes]
	Audience   []string
	AllowedIPs []netip.Prefix
	RateLimit  keys.RateLimit
	Metadata   map[string]string
	Expires    keys.Expiry   // zero means [keys.DefaultLife]
	MaxKeyLife time.Duration // of an admin key; zero means [keys.DefaultMaxKeyLife], [keys.LifeForEver] no limit
}

// Issued is a new key and its token. The token is not stored: if it is lost, issue another key.
type Issued struct {
	Key   *keys.Key
	Token keys.Secret
}

// tries limits how often new random ids are drawn. With 71 random bits, even a second draw
// means a fault; if a pepper was retired at that moment, it does not.
const tries = 3

// Issue implements [Manager].
func (m *Local) Issue(ctx context.Context, req IssueRequest) (Issued, error) {
	now := m.Now()
	k, err := req.NewKey(now, m.actor)
	if err != nil {
		return Issued{}, err
	}
	for range tries {
		issued, err := m.create(ctx, *k, now)
		if !errors.Is(err, keys.ErrIDTaken) && !errors.Is(err, keys.ErrPepperRetired) {
			return issued, err
		}
	}
	return Issued{}, fmt.Errorf("%w: no free id in %d tries", keys.ErrUnavailable, tries)
}

// Validate reports the rules that the request breaks by itself at now, as [keys.Key.Validate]
// does.
func (req *IssueRequest) Validate(now time.Time) error {
	_, err := req.NewKey(now, "")
	return err
}

// NewKey builds and validates the key, except what depends on its token.
func (req *IssueRequest) NewKey(now time.Time, actor audit.Actor) (*keys.Key, error) {
	expiresAt, expiry := req.Expires.At(now)
	k := &keys.Key{
		Kind: req.Kind, Name: req.Name, Owner: req.Owner,
		Scopes: unique(req.Scopes), Audience: unique(req.Audience), AllowedIPs: unique(req.AllowedIPs),
		RateLimit: req.RateLimit, Metadata: maps.Clone(req.Metadata), MaxKeyLife: req.MaxKeyLife,
		CreatedAt: now, CreatedBy: string(actor), ExpiresAt: expiresAt, Version: 1,
	}
	if k.Kind == "" {
		k.Kind = keys.KindKey
	}
	if k.Kind == keys.KindAdmin && len(k.Scopes) == 0 {
		k.Scopes = keys.AdminScopes()
	}
	k.MaxKeyLife = k.KeyLife()
	return k, keys.AllOf(k.Validate(), expiry)
}

// unique removes duplicates and keeps the order.
func unique[T comparable](list []T) []T {
	var out []T
	for _, v := range list {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func (m *Local) create(ctx context.Context, k keys.Key, now time.Time) (Issued, error) {
	token := keys.NewToken(k.Kind)
	k.ID = token.ID()
	peppers := m.store.Peppers()
	digest, pepperID := peppers.Digest(token.Secret())
	k.Secrets = []keys.KeySecret{{
		Number: 1, Scheme: keys.SchemeHMAC, PepperID: pepperID, Digest: digest[:], CreatedAt: now,
	}}
	peppers.Seal(&k)
	event, err := m.event(ctx, audit.ActionIssue, k.ID, now, nil, audit.StateOf(&k, now))
	if err != nil {
		return Issued{}, err
	}
	if err := m.store.Create(ctx, &k, event); err != nil {
		return Issued{}, err
	}
	return Issued{Key: &k, Token: token.Secret()}, nil
}
