package pepper

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// rehashActor is the actor that renews digests in the background.
const rehashActor audit.Actor = "mcpkeys:rehash"

// Rehash is the new digest of one secret, made with the current pepper. [Set.Rehash] makes
// it when a token was proved, the only moment when a digest can be made, and a [Rehasher]
// writes it later. It never contains the token.
type Rehash struct {
	keyID    string
	was, now keys.KeySecret
}

// Updater is the part of a store that [Rehash.Do] needs.
type Updater interface {
	Update(ctx context.Context, id string, change func(*keys.Key) (audit.Event, error)) (*keys.Key, error)
	Peppers() *Set
}

// Rehasher is a [store.Reader] that can renew the digest of a proved secret.
type Rehasher interface {
	// Rehash is r.Do on the store. It fails if the store cannot be written.
	Rehash(ctx context.Context, r *Rehash, now time.Time) error
}

// Rehash returns the new digest of s, or nil if it may stay as it is. S is the secret of k
// that token has just proved.
func (p *Set) Rehash(k *keys.Key, s *keys.KeySecret, token keys.Secret) *Rehash {
	if !k.RevokedAt.IsZero() {
		return nil
	}
	now, ok := p.renewed(s, token)
	if !ok {
		return nil
	}
	return &Rehash{k.ID, *s, now}
}

// renewed is s with a digest and lookup as they would be written today.
func (p *Set) renewed(s *keys.KeySecret, token keys.Secret) (keys.KeySecret, bool) {
	if s.Imported() {
		now := p.renewedImport(s, token)
		return now, !keptAlike(&now, s)
	}
	if s.Scheme != keys.SchemeHMAC || s.PepperID == p.current.id {
		return keys.KeySecret{}, false
	}
	digest, pepperID := p.Digest(token)
	now := *s
	now.PepperID, now.Digest = pepperID, digest[:]
	return now, true
}

// KeyID is the id of the key whose secret it is.
func (r *Rehash) KeyID() string { return r.keyID }

// Secret is the number of the secret.
func (r *Rehash) Secret() int64 { return r.was.Number }

// Do writes the new digest and a new seal, if the secret did not change since it was
// proved. The key's version, state and dates, and the secret's number and grace, do not
// change. The audit row is [audit.ActionRehash].
//
// If the secret was renewed or removed, or the key is revoked, missing or changed outside
// mcpkeys, Do does nothing and returns no error.
func (r *Rehash) Do(ctx context.Context, store Updater, now time.Time) error {
	_, err := store.Update(ctx, r.keyID, func(k *keys.Key) (audit.Event, error) {
		s := k.Secret(r.was.Number)
		peppers := store.Peppers()
		if peppers.CheckSeal(k) != nil || !k.RevokedAt.IsZero() || s == nil || !keptAlike(s, &r.was) {
			return audit.Event{}, keys.ErrNoChange
		}
		before := rehashDetail(k, now)
		s.Scheme, s.PepperID, s.Digest, s.Lookup = r.now.Scheme, r.now.PepperID, r.now.Digest, r.now.Lookup
		peppers.Seal(k)
		return audit.NewChange(ctx, rehashActor, audit.ActionRehash, k.ID, now, before, rehashDetail(k, now))
	})
	if errors.Is(err, keys.ErrNotFound) || errors.Is(err, keys.ErrPepperRetired) {
		return nil
	}
	return err
}

// keptAlike reports whether both are verified in the same way.
func keptAlike(s, other *keys.KeySecret) bool {
	return s.Scheme == other.Scheme && s.PepperID == other.PepperID &&
		bytes.Equal(s.Digest, other.Digest) && bytes.Equal(s.Lookup, other.Lookup)
}

// rehashDetail also has the scheme and pepper of each secret, which only a re-hash changes.
func rehashDetail(k *keys.Key, now time.Time) *audit.KeyState {
	d := audit.StateOf(k, now)
	for i, s := range k.Secrets {
		d.Secrets[i].Scheme, d.Secrets[i].Pepper = s.Scheme, s.PepperID
	}
	return d
}
