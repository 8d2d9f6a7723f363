package local

import (
	"context"
	"errors"
	"slices"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// imported proves tokens that other systems made. They name no key. Lookups find the key, or
// the few keys that share a handle.
type imported struct{ *Source }

func (s imported) prove(ctx context.Context, q *verifier.Question) (verifier.Proof, error) {
	candidates, err := s.candidates(ctx, q)
	if err != nil {
		return verifier.Proof{}, err
	}
	if k, secret := s.fast(q, candidates); secret != nil {
		return s.proved(q, k, secret), nil
	}
	k, secret, err := s.slowly(ctx, q, candidates)
	switch {
	case err != nil && k != nil:
		return verifier.Proof{KeyID: k.ID}, err
	case err != nil:
		return verifier.Proof{}, err
	case secret != nil:
		return s.proved(q, k, secret), nil
	}
	return s.superseded(ctx, q), nil
}

// candidates are the keys that the token may belong to, as they are now.
func (s imported) candidates(ctx context.Context, q *verifier.Question) ([]*verifier.Known, error) {
	ids, err := s.store.FindImported(ctx, s.store.Peppers().Lookups(keys.NewSecret(q.Token)))
	if err != nil {
		return nil, err
	}
	var list []*verifier.Known
	for _, id := range ids {
		k, err := q.Current(ctx, id)
		if errors.Is(err, keys.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, nil
}

// fast looks for the secret among those with fast hashes. If two keys have the same token
// and one is revoked, it returns the revoked one.
func (s imported) fast(q *verifier.Question, candidates []*verifier.Known) (owner *verifier.Known, secret *keys.KeySecret) {
	for _, k := range candidates {
		one := s.verify(k, keys.NewSecret(q.Token))
		if one != nil && (owner == nil || !k.RevokedAt.IsZero()) {
			owner, secret = k, one
		}
	}
	return owner, secret
}

// slowly computes at most [keys.MaxPerHandle] slow hashes, as long as
// [verifier.Question].Slow allows them. A match that is remembered needs no hash. Revoked keys come first: if two keys have the same
// token, it returns the revoked one. With an error it returns the key whose hash was not
// computed, if there is one.
func (s imported) slowly(ctx context.Context, q *verifier.Question, candidates []*verifier.Known) (*verifier.Known, *keys.KeySecret, error) {
	slices.SortStableFunc(candidates, func(a, b *verifier.Known) int { return a.RevokedAt.Compare(b.RevokedAt) })
	slices.Reverse(candidates)
	for _, k := range candidates {
		for i := range k.Secrets {
			secret := &k.Secrets[i]
			if !secret.Scheme.Slow() {
				continue
			}
			if s.slow.remembers(secret, q.Token) {
				return k, secret, nil
			}
			if err := q.Slow(); err != nil {
				return nil, nil, err
			}
			proven, err := s.slow.proves(ctx, secret, q.Token)
			if err != nil {
				return k, nil, err
			}
			if proven {
				return k, secret, nil
			}
		}
	}
	return nil, nil, nil
}

// superseded finds out whether a rotation ended the token of an imported key. If the store
// cannot be read, the token is refused anyway.
func (s imported) superseded(ctx context.Context, q *verifier.Question) verifier.Proof {
	token := keys.NewSecret(q.Token)
	ids, err := s.store.FindSuperseded(ctx, s.store.Peppers().Lookups(token))
	if err != nil {
		return verifier.Proof{}
	}
	for _, id := range ids {
		list, err := s.store.Superseded(ctx, id)
		if err != nil {
			continue
		}
		if was := s.store.Peppers().Superseded(list, token, q.Now); was != nil {
			return verifier.Proof{KeyID: id, Ended: endedOf(was)}
		}
	}
	return verifier.Proof{}
}
