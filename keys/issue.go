package keys

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// IssueRequest says what a new key shall be.
type IssueRequest struct {
	Kind       Kind // empty means KindKey
	Name       string
	Owner      string
	Scopes     []string // none grants nothing; an admin key gets [AdminScopes]
	Audience   []string
	AllowedIPs []netip.Prefix
	RateLimit  RateLimit
	Metadata   map[string]string
	Expires    Expiry        // zero means [DefaultLife]
	MaxKeyLife time.Duration // of an admin key; zero means [DefaultMaxKeyLife], [LifeForEver] no bound
}

// Issued is a new key and its token. The token is not stored: who drops it must
// issue another key.
type Issued struct {
	Key   *Key
	Token Secret
}

// tries bounds how often a key is drawn anew. With 71 random bits even a second id
// means that something is wrong; a pepper that is retired meanwhile, that all is well.
const tries = 3

// Issue implements [Manager].
func (m *LocalManager) Issue(ctx context.Context, req IssueRequest) (Issued, error) {
	now := m.Now()
	k, err := req.NewKey(now, m.actor)
	if err != nil {
		return Issued{}, err
	}
	for range tries {
		issued, err := m.create(ctx, *k, now)
		if !errors.Is(err, ErrIDTaken) && !errors.Is(err, ErrPepperRetired) {
			return issued, err
		}
	}
	return Issued{}, fmt.Errorf("%w: no free id in %d tries", ErrUnavailable, tries)
}

// Validate reports the rules that the request breaks by itself now, as [Key.Validate] does.
func (req *IssueRequest) Validate(now time.Time) error {
	_, err := req.NewKey(now, "")
	return err
}

// NewKey builds and validates all of the key but what depends on its token.
func (req *IssueRequest) NewKey(now time.Time, actor Actor) (*Key, error) {
	expiresAt, expiry := req.Expires.At(now)
	k := &Key{
		Kind: req.Kind, Name: req.Name, Owner: req.Owner,
		Scopes: unique(req.Scopes), Audience: unique(req.Audience), AllowedIPs: unique(req.AllowedIPs),
		RateLimit: req.RateLimit, Metadata: maps.Clone(req.Metadata), MaxKeyLife: req.MaxKeyLife,
		CreatedAt: now, CreatedBy: string(actor), ExpiresAt: expiresAt, Version: 1,
	}
	if k.Kind == "" {
		k.Kind = KindKey
	}
	if k.Kind == KindAdmin && len(k.Scopes) == 0 {
		k.Scopes = AdminScopes()
	}
	k.MaxKeyLife = k.KeyLife()
	return k, AllOf(k.Validate(), expiry)
}

// unique drops repetitions and keeps the order in which things were named.
func unique[T comparable](list []T) []T {
	var out []T
	for _, v := range list {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func (m *LocalManager) create(ctx context.Context, k Key, now time.Time) (Issued, error) {
	token := NewToken(k.Kind)
	k.ID = token.ID()
	peppers := m.store.Peppers()
	digest, pepperID := peppers.Digest(token.Secret())
	k.Secrets = []KeySecret{{
		Number: 1, Scheme: SchemeHMAC, PepperID: pepperID, Digest: digest[:], CreatedAt: now,
	}}
	peppers.Seal(&k)
	event, err := m.event(ctx, ActionIssue, k.ID, now, nil, StateOf(&k, now))
	if err != nil {
		return Issued{}, err
	}
	if err := m.store.Create(ctx, &k, event); err != nil {
		return Issued{}, err
	}
	return Issued{Key: &k, Token: token.Secret()}, nil
}
