package local

import (
	"context"
	"errors"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// own proves mcpkeys tokens, which name their key.
type own struct{ *Source }

func (s own) prove(ctx context.Context, q *verifier.Question) (verifier.Proof, error) {
	token := keys.NewSecret(q.Token)
	k, err := q.Current(ctx, q.ID)
	switch {
	case errors.Is(err, keys.ErrNotFound):
		s.pretend(ctx, q, token)
		return verifier.Proof{}, nil
	case err != nil:
		return verifier.Proof{}, err
	}
	if secret := s.verify(k, token); secret != nil {
		return s.proved(q, k, secret), nil
	}
	p := verifier.Proof{Known: k, KeyID: k.ID}
	if list, err := s.ended.of(ctx, s.store, k); err == nil { // otherwise the log only lacks a detail
		p.Ended = endedOf(s.store.Peppers().Superseded(list, token, q.Now))
	}
	return p, nil
}

// pretend takes as long for an unknown id as for a known one, so that timing does not show
// which ids exist.
func (s own) pretend(ctx context.Context, q *verifier.Question, token keys.Secret) {
	s.store.Peppers().Verify(nil, token)
	list, _ := s.store.Superseded(ctx, q.ID) // none
	s.store.Peppers().Superseded(list, token, q.Now)
}

func endedOf(was *keys.Superseded) *verifier.Ended {
	if was == nil {
		return nil
	}
	return &verifier.Ended{Secret: was.Number, At: was.EndedAt}
}
