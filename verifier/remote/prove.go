package remote

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/verifier"
)

const (
	// answerWithin bounds one question.
	answerWithin = feed.Lease
	// triesBehind is how often a question is asked again because the verifier has applied
	// newer changes than the answer knows.
	triesBehind = 3
	// maxAsking is how many questions are under way at once. Others wait for their turn. A
	// server answers twice as many of one verify key.
	maxAsking = 64
)

var errCrowded = fmt.Errorf("%w: too many requests wait for answers of the server", keys.ErrUnavailable)

// Prove implements [verifier.Source].
func (s *Source) Prove(ctx context.Context, q *verifier.Question) (verifier.Proof, error) {
	a, err := s.ask(ctx, q)
	if err != nil {
		return verifier.Proof{}, err
	}
	if a.Tampered {
		return verifier.Proof{KeyID: a.KeyID}, fmt.Errorf("key %s: %w", a.KeyID, keys.ErrTampered)
	}
	if a.Secret == 0 {
		return verifier.Proof{KeyID: a.KeyID, Ended: endedOf(a.Ended)}, nil
	}
	if a.Key == nil || a.Pass == nil && !a.Key.Withheld || q.ID != "" && a.Key.ID != q.ID {
		return verifier.Proof{}, s.server.unknown("it answered about another key")
	}
	k, err := keyOf(a.Key)
	if err != nil {
		return verifier.Proof{}, err
	}
	var one *proved
	if a.Pass != nil {
		one = &proved{a.Secret, *a.Pass}
	}
	s.known.add(k.ID, one)
	return verifier.Proof{Key: k, Secret: a.Secret}, nil
}

func endedOf(e *protocol.Ended) *verifier.Ended {
	if e == nil {
		return nil
	}
	return &verifier.Ended{Secret: e.Secret, At: e.At}
}

// ask asks the server, once for all who ask for the same token under a lease.
func (s *Source) ask(ctx context.Context, q *verifier.Question) (*protocol.Answer, error) {
	question := &protocol.Question{From: s.from(), Token: q.Token}
	return s.current(func() (*protocol.Answer, error) {
		if q.Alone {
			return s.answer(ctx, protocol.PathProve, question)
		}
		sum := sha256.Sum256([]byte(q.Token))
		one, began := s.questions.Join(sum)
		if !began {
			if err := one.Wait(ctx); err != nil {
				return nil, err
			}
			return one.Result, one.Err
		}
		defer s.questions.Land(sum, one, nil)
		one.Result, one.Err = s.answer(context.WithoutCancel(ctx), protocol.PathProve, question) // a caller that disconnects must not fail the waiting ones
		return one.Result, one.Err
	})
}

// current repeats a question until its answer is not behind what the verifier has heard of.
func (s *Source) current(ask func() (*protocol.Answer, error)) (*protocol.Answer, error) {
	for try := 1; ; try++ {
		a, err := ask()
		if err != nil {
			return nil, err
		}
		if uint64(a.Position) >= s.heard.Load() {
			return a, nil
		}
		if try == triesBehind {
			return nil, s.server.unknown("it answers from an older state of the key store than it told of")
		}
	}
}

func (s *Source) answer(ctx context.Context, path string, question any) (*protocol.Answer, error) {
	ctx, cancel := s.within(ctx, answerWithin)
	defer cancel()
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return nil, errCrowded
	}
	if s.ctx.Err() != nil {
		return nil, errClosed
	}
	asked := now()
	a := &protocol.Answer{}
	if err := s.server.post(ctx, path, question, a); err != nil {
		return nil, err
	}
	s.heardTime(a.Time, asked)
	return a, nil
}

// Key implements [verifier.Source], for keys of which a secret was proved to this process.
func (s *Source) Key(ctx context.Context, id string) (*keys.Key, error) {
	one, ok := s.known.newest(id)
	if !ok {
		return nil, fmt.Errorf("%w: no secret of key %s was proved to this program", keys.ErrUnavailable, id)
	}
	question := &protocol.KeyQuestion{From: s.from(), KeyID: id, Secret: one.secret, Pass: one.pass}
	a, err := s.current(func() (*protocol.Answer, error) { return s.answer(ctx, protocol.PathKey, question) })
	switch {
	case err != nil:
		return nil, err
	case a.Tampered:
		return nil, keys.ErrTampered
	case a.Unproved: // the pepper of the pass was retired
		return nil, fmt.Errorf("%w: the server no longer knows that a secret of key %s was proved to this program", keys.ErrUnavailable, id)
	case a.Key == nil:
		return nil, keys.ErrNotFound
	case a.Key.ID != id:
		return nil, s.server.unknown("it answered about another key")
	}
	k, err := keyOf(a.Key)
	if err == nil {
		s.known.add(id, &one)
	}
	return k, err
}

// What stands in a key of which the server told nothing. No identity can be made of the scope, so
// that no guard accepts the key, whatever kind and audience it asks for.
const (
	withheldAudience = "(another server)"
	withheldScope    = "\x00"

	// withheldKind stands for an admin key, which no guard on another host accepts: also one that
	// asks for admin keys refuses it as the wrong kind.
	withheldKind keys.Kind = "(an admin key)"
)

// keyOf is the key as a verifier judges it, without digests.
func keyOf(in *protocol.Key) (*keys.Key, error) {
	k := &keys.Key{
		ID: in.ID, Kind: keys.Kind(in.Kind), Name: in.Name, Owner: in.Owner, Scopes: in.Scopes, Audience: in.Audience,
		Metadata: in.Metadata, CreatedAt: in.CreatedAt,
		ExpiresAt: in.ExpiresAt, DisabledAt: in.DisabledAt, RevokedAt: in.RevokedAt, Version: in.Version,
	}
	if in.Withheld {
		k.Scopes, k.Audience = []string{withheldScope}, []string{withheldAudience}
		if k.Kind == keys.KindAdmin {
			k.Kind = withheldKind
		}
	}
	for _, one := range in.Secrets {
		k.Secrets = append(k.Secrets, keys.KeySecret{Number: one.Number, ExpiresAt: one.ExpiresAt})
	}
	for _, text := range in.AllowedIPs {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, errUnreadable(in.ID)
		}
		k.AllowedIPs = append(k.AllowedIPs, p)
	}
	if in.RateLimit != "" {
		limit, err := keys.ParseRateLimit(in.RateLimit)
		if err != nil {
			return nil, errUnreadable(in.ID)
		}
		k.RateLimit = limit
	}
	return k, nil
}

func errUnreadable(id string) error {
	return fmt.Errorf("%w: the server's answer about key %s cannot be read; use the same version of mcpkeys on both sides", keys.ErrUnavailable, id)
}
