package local

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// Store is what a Source needs of a key store, a part of [store.Reader].
type Store interface {
	feed.Feed

	Key(ctx context.Context, id string) (*keys.Key, error)
	Superseded(ctx context.Context, id string) ([]keys.Superseded, error)
	FindImported(ctx context.Context, lookups [][]byte) ([]string, error)
	FindSuperseded(ctx context.Context, lookups [][]byte) ([]string, error)
	Peppers() *pepper.Set

	// MayCount reports why this process could not write counts, or nil. Without them, keys
	// that are in use here would look unused elsewhere.
	MayCount() error
	AddUse(ctx context.Context, uses []usage.Use) error
	AddDenials(ctx context.Context, denials []usage.Denial) error
	AddMessage(ctx context.Context, m *usage.Message) error

	pepper.Rehasher
}

// Options configures [New]. Nil and the zero value are ready for use.
type Options struct {
	Now func() time.Time // nil means time.Now

	// ReadOnly is for checks that are not a use of the key: nothing is counted, and no
	// digest is renewed.
	ReadOnly bool

	// OnRehashError is called from another goroutine if a digest could not be renewed. A
	// digest that was made with an old pepper is renewed when its secret is used. After a
	// failure the function is not called again before a renewal has succeeded. No request is
	// refused because of it, but the old pepper cannot be retired yet.
	OnRehashError func(error)

	// SlowHashes bounds by its capacity how many slow hashes of imported keys run at once.
	// Sources of one process may share it. Nil means half of the processors.
	SlowHashes chan struct{}
}

// Source reads keys from a store in this process. Make one with [New], for one verifier.
type Source struct {
	feed.Feed
	store    Store
	fault    error
	readOnly bool
	slow     *slowHashes
	ended    *endings
	rehashes *rehashes
}

var _ verifier.Source = (*Source)(nil)

// New returns a Source over store, which the caller still owns and closes after the
// verifier. If store cannot be used, [verifier.New] returns the error.
func New(store Store, o *Options) *Source {
	if store == nil || isNilPointer(store) {
		return &Source{fault: errors.New("verifier: no store; check the error of opening it")}
	}
	if o == nil {
		o = &Options{}
	}
	clock := o.Now
	if clock == nil {
		clock = time.Now //nolint:forbidigo // the default clock
	}
	s := &Source{Feed: store, store: store, readOnly: o.ReadOnly}
	var err1, err2 error
	s.slow, err1 = newSlowHashes(o.SlowHashes)
	s.ended, err2 = newEndings()
	s.rehashes = newRehashes(store, clock, o.OnRehashError)
	s.fault = errors.Join(err1, err2)
	return s
}

// isNilPointer catches the typed nil that a dropped error leaves in an interface.
func isNilPointer(store Store) bool {
	s := reflect.ValueOf(store)
	return s.Kind() == reflect.Pointer && s.IsNil()
}

// Open implements [verifier.Source].
func (s *Source) Open() error {
	if s.fault != nil || s.readOnly {
		return s.fault
	}
	return s.store.MayCount()
}

// Close implements [verifier.Source].
func (s *Source) Close() error {
	if s.rehashes != nil {
		s.rehashes.close()
	}
	return nil
}

// Now implements [verifier.Source].
func (s *Source) Now(t time.Time) time.Time { return t }

// Applied implements [verifier.Source]. It does nothing, because no writer has to wait for it: all
// processes of the machine compare one mapped epoch before each check. Once a change has
// moved that epoch nothing from before is used any more, whether or not this verifier has
// looked since.
func (s *Source) Applied(feed.Position) {}

// Key implements [verifier.Source]. A row with a broken seal is an error.
func (s *Source) Key(ctx context.Context, id string) (*keys.Key, error) {
	k, err := s.store.Key(ctx, id)
	if err == nil {
		err = s.store.Peppers().CheckSeal(k)
	}
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", id, err)
	}
	return k, nil
}

// AddUse implements [verifier.Source].
func (s *Source) AddUse(ctx context.Context, uses []usage.Use) error {
	if s.readOnly {
		return nil
	}
	return s.store.AddUse(ctx, uses)
}

// AddDenials implements [verifier.Source].
func (s *Source) AddDenials(ctx context.Context, denials []usage.Denial) error {
	if s.readOnly {
		return nil
	}
	return s.store.AddDenials(ctx, denials)
}

// AddMessage stores what a guard on another host counted, if it was not stored before.
func (s *Source) AddMessage(ctx context.Context, m *usage.Message) error {
	if s.readOnly {
		return nil
	}
	return s.store.AddMessage(ctx, m)
}

// Prove implements [verifier.Source].
func (s *Source) Prove(ctx context.Context, q *verifier.Question) (verifier.Proof, error) {
	var p prover = own{s}
	if q.ID == "" {
		p = imported{s}
	}
	return p.prove(ctx, q)
}

// prover finds out whose secret a token of one form is.
type prover interface {
	prove(ctx context.Context, q *verifier.Question) (verifier.Proof, error)
}

// proved is the proof that the token is the secret of k. Its digest is renewed if it is
// kept in an old way.
func (s *Source) proved(q *verifier.Question, k *verifier.Known, secret *keys.KeySecret) verifier.Proof {
	if !s.readOnly {
		s.rehashes.offer(s.store.Peppers().Rehash(recordOf(k), secret, keys.NewSecret(q.Token)))
	}
	return verifier.Proof{Known: k, Secret: secret.Number}
}

// verify finds the secret of k that the token proves with a fast hash, or nil.
func (s *Source) verify(k *verifier.Known, token keys.Secret) *keys.KeySecret {
	return s.store.Peppers().Verify(recordOf(k), token)
}

// recordOf is a key with as much as a proof needs, and nothing of what it may do.
func recordOf(k *verifier.Known) *keys.Key {
	return &keys.Key{ID: k.ID, RevokedAt: k.RevokedAt, Secrets: k.Secrets}
}
