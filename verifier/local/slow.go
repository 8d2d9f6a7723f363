package local

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/pepper"
	"github.com/mcpkeys/mcpkeys/verifier/internal/flight"
)

const (
	// maxSlowQueue is how many slow hashes may wait for their turn. maxSlowHandle is how many
	// of one handle may wait or run, so that a flood with one handle does not shut out the
	// others.
	maxSlowQueue  = 16
	maxSlowHandle = 4
	// maxProven is how many matches are remembered.
	maxProven = 100_000
	// slowPatience is how long a slow hash waits for its turn.
	slowPatience = time.Second
)

// errSlowBusy is for logs; a client is told to come back.
var errSlowBusy = fmt.Errorf("%w: too many imported keys with slow hashes are being checked at once", keys.ErrUnavailable)

// slowHashes are computed a few at a time, only for imported keys: one takes a core for up to
// half a second. A match is remembered, so that it is not computed again after a change to
// the key; the verifier remembers a token that did not match. Many callers with one token
// cost one hash.
type slowHashes struct {
	key    [sha256.Size]byte // of this process
	slots  chan struct{}     // one for each that runs
	proven *otter.Cache[[sha256.Size]byte, struct{}]

	mu      sync.Mutex
	waiting map[string]int // by handle, including running ones
	total   int

	flights flight.Group[[sha256.Size]byte, slowHash]
}

// slowHash is the result of a slow hash.
type slowHash struct {
	proven bool
	left   bool // its caller disconnected before its turn, so there is no result for others
}

// newSlowHashes leaves half of the cores to everything else, unless slots are given.
func newSlowHashes(slots chan struct{}) (*slowHashes, error) {
	if slots == nil {
		slots = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
	}
	s := &slowHashes{slots: slots, waiting: map[string]int{}}
	_, _ = rand.Read(s.key[:]) // documented to never fail
	var err error
	s.proven, err = otter.New(&otter.Options[[sha256.Size]byte, struct{}]{MaximumSize: maxProven, Executor: func(upkeep func()) { upkeep() }})
	return s, err
}

// remembers reports whether token is known to match secret.
func (s *slowHashes) remembers(secret *keys.KeySecret, token string) bool {
	_, ok := s.proven.GetIfPresent(s.fingerprint(secret, token))
	return ok
}

// proves reports whether token matches secret. An error means that this is not known: too
// many slow hashes waited, or ctx ended.
func (s *slowHashes) proves(ctx context.Context, secret *keys.KeySecret, token string) (bool, error) {
	fp := s.fingerprint(secret, token)
	if _, ok := s.proven.GetIfPresent(fp); ok {
		return true, nil
	}
	for {
		one, mine := s.flights.Join(fp)
		if mine {
			s.run(ctx, one, fp, secret, token)
			return one.Result.proven, one.Err
		}
		if err := one.Wait(ctx); err != nil {
			return false, err
		}
		if !one.Result.left {
			return one.Result.proven, one.Err
		}
	}
}

// fingerprint stands for a token and a hash. It is of use in this process alone.
func (s *slowHashes) fingerprint(secret *keys.KeySecret, token string) [sha256.Size]byte {
	h := sha256.New()
	sum := sha256.Sum256([]byte(token))
	h.Write(s.key[:])
	h.Write(sum[:])
	h.Write(secret.Digest)
	return [sha256.Size]byte(h.Sum(nil))
}

func (s *slowHashes) run(ctx context.Context, one *flight.Flight[slowHash], fp [sha256.Size]byte, secret *keys.KeySecret, token string) {
	defer s.flights.Land(fp, one, func(h slowHash) {
		if h.proven {
			s.proven.Set(fp, struct{}{})
		}
	})
	handle := pepper.Handle(token)
	if !s.enter(handle) {
		one.Err = errSlowBusy
		return
	}
	defer s.leave(handle)
	patience := time.NewTimer(slowPatience)
	defer patience.Stop()
	select {
	case s.slots <- struct{}{}:
	case <-patience.C:
		one.Err = errSlowBusy
		return
	case <-ctx.Done():
		one.Result.left = true
		one.Err = fmt.Errorf("%w: waiting for a slow hash: %w", keys.ErrUnavailable, context.Cause(ctx))
		return
	}
	defer func() { <-s.slots }()
	one.Result.proven, one.Err = pepper.ProvenBy(secret, keys.NewSecret(token)), nil
}

// enter reports whether there is room for one more that runs or waits.
func (s *slowHashes) enter(handle string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= maxSlowQueue+cap(s.slots) || s.waiting[handle] >= maxSlowHandle {
		return false
	}
	s.total++
	s.waiting[handle]++
	return true
}

func (s *slowHashes) leave(handle string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.waiting[handle]--; s.waiting[handle] == 0 {
		delete(s.waiting, handle)
	}
}
