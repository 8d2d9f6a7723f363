package verifier

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
)

const (
	// maxSlowQueue is how many wait for their turn at a slow hash, and maxSlowHandle how
	// many of them may be at one handle: whoever floods one does not shut out the rest.
	maxSlowQueue  = 16
	maxSlowHandle = 4
	// slowPatience is how long one waits.
	slowPatience = time.Second
)

// errSlowBusy is for logs; a client is told to come back.
var errSlowBusy = fmt.Errorf("%w: too many keys are being checked under slow hashes, which imported keys have until they are used", keys.ErrUnavailable)

// slowHashes are computed a few at a time, for imported keys alone: one takes a core for
// up to half a second. What came out well is remembered, so that a key is not computed
// anew because somebody changed its name; what came out badly is remembered with the
// token, by [unknown]. Many at once with one token cost one hash.
type slowHashes struct {
	key    [sha256.Size]byte // of this process
	slots  chan struct{}     // one for each that runs
	proven *otter.Cache[[sha256.Size]byte, struct{}]

	mu      sync.Mutex
	waiting map[string]int // by handle, with those that run
	total   int
	flying  map[[sha256.Size]byte]*slowHash
}

// slowHash is one under way.
type slowHash struct {
	done   chan struct{}
	proven bool
	err    error
	left   bool // whoever began it hung up before its turn
}

// newSlowHashes leaves half of the cores to everybody else.
func newSlowHashes(size int) (*slowHashes, error) {
	s := &slowHashes{
		slots:   make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		waiting: map[string]int{}, flying: map[[sha256.Size]byte]*slowHash{},
	}
	_, _ = rand.Read(s.key[:]) // documented to never fail
	var err error
	s.proven, err = otter.New(&otter.Options[[sha256.Size]byte, struct{}]{MaximumSize: size, Executor: atOnce})
	return s, err
}

// proves reports whether token is that of the secret. The error is that nobody found
// out: there were too many, or ctx ended.
func (s *slowHashes) proves(ctx context.Context, secret *keys.KeySecret, token string) (bool, error) {
	mark := s.mark(secret, token)
	if _, ok := s.proven.GetIfPresent(mark); ok {
		return true, nil
	}
	for {
		one, mine, err := s.join(mark, keys.Handle(token))
		if err != nil {
			return false, err
		}
		if mine {
			s.run(ctx, one, mark, secret, token)
			return one.proven, one.err
		}
		select {
		case <-one.done:
		case <-ctx.Done():
			return false, fmt.Errorf("%w: waiting for a slow hash: %w", keys.ErrUnavailable, context.Cause(ctx))
		}
		if !one.left { // else it is no answer for anybody else
			return one.proven, one.err
		}
	}
}

// mark stands for a token and a hash. It is of use in this process alone.
func (s *slowHashes) mark(secret *keys.KeySecret, token string) [sha256.Size]byte {
	h := sha256.New()
	sum := sumOf(token)
	h.Write(s.key[:])
	h.Write(sum[:])
	h.Write(secret.Digest)
	return [sha256.Size]byte(h.Sum(nil))
}

// join returns the hash under way for the mark, or a new one that the caller must run.
func (s *slowHashes) join(mark [sha256.Size]byte, handle string) (one *slowHash, mine bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.flying[mark]; one != nil {
		return one, false, nil
	}
	if s.total >= maxSlowQueue+cap(s.slots) || s.waiting[handle] >= maxSlowHandle {
		return nil, false, errSlowBusy
	}
	s.total++
	s.waiting[handle]++
	one = &slowHash{done: make(chan struct{}), err: errUnread}
	s.flying[mark] = one
	return one, true, nil
}

func (s *slowHashes) run(ctx context.Context, one *slowHash, mark [sha256.Size]byte, secret *keys.KeySecret, token string) {
	defer s.leave(one, mark, keys.Handle(token))
	patience := time.NewTimer(slowPatience)
	defer patience.Stop()
	select {
	case s.slots <- struct{}{}:
	case <-patience.C:
		one.err = errSlowBusy
		return
	case <-ctx.Done():
		one.left = true
		one.err = fmt.Errorf("%w: waiting for a slow hash: %w", keys.ErrUnavailable, context.Cause(ctx))
		return
	}
	defer func() { <-s.slots }()
	one.proven, one.err = keys.ProvenBy(secret, keys.NewSecret(token)), nil
	if one.proven {
		s.proven.Set(mark, struct{}{})
	}
}

func (s *slowHashes) leave(one *slowHash, mark [sha256.Size]byte, handle string) {
	s.mu.Lock()
	delete(s.flying, mark)
	s.total--
	if s.waiting[handle]--; s.waiting[handle] == 0 {
		delete(s.waiting, handle)
	}
	s.mu.Unlock()
	close(one.done)
}
