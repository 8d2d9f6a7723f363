package pepper

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/audit"
)

// rehashActor is who renews digests in the background.
const rehashActor audit.Actor = "mcpkeys:rehash"

// Rehash is one secret on its way to be kept as secrets are kept now: with the current
// pepper. [Set.Rehash] makes it when a token was proved, the only moment at which a
// digest can be made, and a [Rehasher] writes it afterwards. It holds the new digest and
// never the token.
type Rehash struct {
	keyID    string
	was, now keys.KeySecret
}

// Updater is what [Rehash.Do] needs of a store.
type Updater interface {
	Update(ctx context.Context, id string, change func(*keys.Key) (audit.Event, error)) (*keys.Key, error)
	Peppers() *Set
}

// Rehasher is a [store.Reader] that can renew the digest of a proved secret, whatever else it
// may write.
type Rehasher interface {
	// Rehash is r.Do on the store. It fails when nothing can be written.
	Rehash(ctx context.Context, r *Rehash, now time.Time) error
}

// Rehash returns how s is to be kept from now on, or nil if it may stay as it is. S is
// the secret of k that token was just proved to be.
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

// renewed is s as it would be written today. What is found by its digest is all that
// differs.
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

// Do writes the new digest if the secret is still kept exactly as it was proved, and a
// new seal. The key stays what it is: its version, its state, its dates, the number of
// the secret and its grace. The audit tells of it, as [audit.ActionRehash].
//
// Where the secret was renewed or removed meanwhile, or the key is revoked, gone or
// changed outside mcpkeys, nothing is done, and that is no error.
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

// keptAlike reports whether the two are verified alike.
func keptAlike(s, other *keys.KeySecret) bool {
	return s.Scheme == other.Scheme && s.PepperID == other.PepperID &&
		bytes.Equal(s.Digest, other.Digest) && bytes.Equal(s.Lookup, other.Lookup)
}

// rehashDetail also tells how each secret is kept, which nothing else changes.
func rehashDetail(k *keys.Key, now time.Time) *audit.KeyState {
	d := audit.StateOf(k, now)
	for i, s := range k.Secrets {
		d.Secrets[i].Scheme, d.Secrets[i].Pepper = s.Scheme, s.PepperID
	}
	return d
}
