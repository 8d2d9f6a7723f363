// Package mcpkeystest lets the author of a guarded server test what each key may do, without a
// key store and without a pepper.
//
// Make keys with [New], issue one with some scopes with [Keys.Issue], and put [Keys.Guard]
// before the server, as with a real store: the same guard and the same verifier decide.
// [Keys.Revoke] ends a key while the server runs. [Keys.Add] makes keys with an audience, an
// expiry, a limit or addresses.
//
// The package keeps and compares secrets in plain text: it is for tests only. Invalid input,
// such as a malformed scope, panics.
package mcpkeystest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// Keys are keys in memory. Make them with [New]. They are safe for concurrent use.
type Keys struct {
	mu      sync.Mutex // guards what follows
	byID    map[string]*keys.Key
	tokens  map[string]string // the id of each token
	changed []string          // ids, in the order of changes; the first change has the number 1
	moved   chan struct{}     // closed by the next change
	opened  []*verifier.Verifier
}

// New returns an empty set of keys. Close it at the end of the test.
func New() *Keys {
	return &Keys{byID: map[string]*keys.Key{}, tokens: map[string]string{}, moved: make(chan struct{})}
}

// Issue makes a key with scopes, such as "tools:get_*", and returns its secret.
func (k *Keys) Issue(scopes ...string) (secret string) {
	return k.Add(keys.Key{Scopes: scopes})
}

// Add makes the described key and returns its secret. Its id is random; an empty name becomes
// "test 1" and so on, and an empty kind an ordinary key. It panics if the key is invalid.
func (k *Keys) Add(key keys.Key) (secret string) {
	if key.Kind == "" {
		key.Kind = keys.KindKey
	}
	token := keys.NewToken(key.Kind)
	key.ID, key.Version = token.ID(), 1
	if key.CreatedAt.IsZero() {
		key.CreatedAt = keys.StoredTime(time.Now()) //nolint:forbidigo // a test's own clock may be set in the key
	}
	key.Secrets = []keys.KeySecret{{Number: 1, Scheme: keys.SchemeHMAC, CreatedAt: key.CreatedAt}}
	k.mu.Lock()
	defer k.mu.Unlock()
	if key.Name == "" {
		key.Name = "test " + strconv.Itoa(len(k.byID)+1)
	}
	if err := key.Validate(); err != nil {
		panic(fmt.Errorf("mcpkeystest: Add: %w", err))
	}
	k.byID[key.ID] = &key
	k.tokens[token.Secret().Reveal()] = key.ID
	k.change(key.ID)
	return token.Secret().Reveal()
}

// Revoke ends the key with that secret. It panics if there is none.
func (k *Keys) Revoke(secret string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id, ok := k.tokens[secret]
	if !ok {
		panic("mcpkeystest: Revoke: no key has that secret")
	}
	revoked := *k.byID[id]
	revoked.RevokedAt, revoked.Version = keys.StoredTime(time.Now()), revoked.Version+1 //nolint:forbidigo // as above
	k.byID[id] = &revoked
	k.change(id)
}

// change tells of a change; k.mu is held.
func (k *Keys) change(id string) {
	k.changed = append(k.changed, id)
	close(k.moved)
	k.moved = make(chan struct{})
}

// Guard returns a guard that accepts only these keys.
func (k *Keys) Guard(o *middleware.Options) *middleware.Guard {
	v, err := verifier.New(k.Source(), nil)
	if err != nil {
		panic(err) // not caused by the caller's input
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.opened = append(k.opened, v)
	return middleware.New(v, o)
}

// Close ends the background work of the guards.
func (k *Keys) Close() error {
	k.mu.Lock()
	opened := k.opened
	k.opened = nil
	k.mu.Unlock()
	var err error
	for _, v := range opened {
		err = errors.Join(err, v.Close())
	}
	return err
}

// Source returns the keys as a verifier reads them.
func (k *Keys) Source() verifier.Source { return source{k} }

// source keeps the methods of a Source separate from the methods for tests.
type source struct{ k *Keys }

// Epoch implements [verifier.Source].
func (s source) Epoch() uint64 {
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	return uint64(len(s.k.changed))
}

// Changes implements [verifier.Source].
func (s source) Changes(_ context.Context, since feed.Position) (feed.Changes, error) {
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	c := feed.Changes{Next: feed.Position{Generation: "test", Seq: int64(len(s.k.changed))}}
	if since.Generation != "" {
		c.IDs = slices.Compact(slices.Sorted(slices.Values(s.k.changed[since.Seq:])))
	}
	return c, nil
}

// Bounds implements [verifier.Source].
func (s source) Bounds() feed.Bounds { return feed.Bounds{Lease: time.Minute, Look: time.Minute} }

// Now implements [verifier.Source].
func (s source) Now(t time.Time) time.Time { return t }

// Wait implements [verifier.Source].
func (s source) Wait(ctx context.Context, epoch uint64) {
	s.k.mu.Lock()
	moved, now := s.k.moved, uint64(len(s.k.changed))
	s.k.mu.Unlock()
	if now != epoch {
		return
	}
	select {
	case <-ctx.Done():
	case <-moved:
	}
}

// Applied implements [verifier.Source]. No change waits for it.
func (s source) Applied(feed.Position) {}

// Prove implements [verifier.Source].
func (s source) Prove(ctx context.Context, q *verifier.Question) (verifier.Proof, error) {
	s.k.mu.Lock()
	id, ok := s.k.tokens[q.Token]
	s.k.mu.Unlock()
	if !ok {
		return verifier.Proof{}, nil
	}
	key, err := q.Current(ctx, id)
	if err != nil {
		return verifier.Proof{}, err
	}
	return verifier.Proof{Known: key, Secret: 1}, nil
}

// Key implements [verifier.Source].
func (s source) Key(_ context.Context, id string) (*keys.Key, error) {
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	key, ok := s.k.byID[id]
	if !ok {
		return nil, keys.ErrNotFound
	}
	found := *key
	return &found, nil
}

// AddUse implements [verifier.Source]. Use is not kept.
func (s source) AddUse(context.Context, []usage.Use) error { return nil }

// AddDenials implements [verifier.Source]. Denials are not kept.
func (s source) AddDenials(context.Context, []usage.Denial) error { return nil }

// Open implements [verifier.Source].
func (s source) Open() error { return nil }

// Close implements [verifier.Source].
func (s source) Close() error { return nil }
