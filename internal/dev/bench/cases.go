package bench

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// unknowns is how many tokens without a key are presented in turn: more than a verifier
// remembers.
const unknowns = 200_000

// writers is how many goroutines issue keys at once.
const writers = 32

// Cases returns the rows of the table, floors last.
func (s *Stage) Cases(ctx context.Context) ([]Case, error) {
	point, err := s.readPoint(ctx)
	if err != nil {
		return nil, err
	}
	commit, err := s.commitRow(ctx)
	if err != nil {
		return nil, err
	}
	slow, err := bcrypt10(s.tokens[0])
	if err != nil {
		return nil, err
	}
	cases := []Case{
		{Name: "VerifyHit", Floor: floorMap, Promise: 2.2, Slack: 2.8, NoAllocs: true, Run: s.verifyHit(ctx, 1)},
		{Name: "VerifyHitOf1000", Floor: floorMapOf1000, Promise: 2.7, Slack: 3.5, NoAllocs: true, Run: s.verifyHit(ctx, few)},
		{Name: "VerifyHitParallel", Floor: "VerifyHitOf1000", Promise: 1 / 1.5, NoAllocs: true, Run: s.verifyHitParallel(ctx), Processors: runtime.GOMAXPROCS(0)},
		{Name: "VerifyMiss", Floor: floorPoint, Promise: 1.8, Slack: 4, Run: s.verifyMiss(ctx)},
		{Name: "VerifyJunk", Floor: floorMap, Promise: 1.35, Slack: 2, NoAllocs: true, Run: s.verifyJunk(ctx)},
		{Name: "VerifyUnknown", Floor: floorPoint, Run: s.verifyUnknown(ctx, unknowns)},
		{Name: "VerifyUnknownAgain", Floor: floorMap, Promise: 5, Slack: 8, Run: s.verifyUnknown(ctx, few)},
		{Name: "RevokedDenied", Floor: floorMap, Run: s.revokedDenied(ctx)},
		{Name: "Issue", Floor: floorCommit, Run: s.issueBy(ctx, 1)},
		{Name: "Issue32Writers", Floor: floorCommit, Run: s.issueBy(ctx, writers)},
	}
	cases = append(append(cases, s.guards()...), s.toolCalls(ctx)...)
	if err := s.openFar(ctx); err != nil {
		return nil, err
	}
	remotes, err := s.remotes(ctx)
	if err != nil {
		return nil, err
	}
	paged, err := s.pages(ctx)
	if err != nil {
		return nil, err
	}
	cases = append(append(cases, remotes...), paged...)
	return append(cases,
		Case{Name: floorMap, Run: s.hashAndLook(1)},
		Case{Name: floorMapOf1000, Run: s.hashAndLook(few)},
		Case{Name: floorPoint, Run: point},
		Case{Name: floorCommit, Run: commit},
		Case{Name: "FloorBcrypt10", Floor: floorMap, Run: slow},
		Case{Name: "FloorArgon2id", Floor: floorMap, Run: argon2id(s.tokens[0])},
	), nil
}

var call = verifier.Call{Audience: audience}

func (s *Stage) verifyHit(ctx context.Context, keys int) func(int) error {
	return func(n int) error { return s.hits(ctx, s.tokens[:keys], n) }
}

// hits checks tokens in turn and fails if a key was read for it. Open has made the verifier
// remember all of them.
func (s *Stage) hits(ctx context.Context, tokens []string, n int) error {
	before := s.calls.keys.Load()
	for i := range n {
		d := s.hit.Authenticate(ctx, tokens[i%len(tokens)], call)
		if !d.Valid() || !d.Identity.Allows(needed) {
			return fmt.Errorf("%w: %s: %w", errWrong, d.Code, d.Cause)
		}
	}
	return exactly("look-ups", s.calls.keys.Load()-before, 0)
}

// verifyHitParallel checks on every processor at once, each its own keys.
func (s *Stage) verifyHitParallel(ctx context.Context) func(int) error {
	return func(n int) error {
		workers := runtime.GOMAXPROCS(0)
		share := len(s.tokens) / workers
		return parallel(workers, n, func(w, n int) error { return s.hits(ctx, s.tokens[w*share:(w+1)*share], n) })
	}
}

// parallel does n things on so many goroutines.
func parallel(workers, n int, do func(worker, n int) error) error {
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		part := n / workers
		if w < n%workers {
			part++
		}
		all.Go(func() { errs[w] = do(w, part) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// verifyMiss checks keys that the verifier does not remember, and fails unless the store was
// read for nearly all of them: a full cache still holds some.
func (s *Stage) verifyMiss(ctx context.Context) func(int) error {
	next := 0
	return func(n int) error {
		before := s.looks.keys.Load()
		for range n {
			d := s.miss.Authenticate(ctx, s.manyTokens[next%len(s.manyTokens)], call)
			next++
			if !d.Valid() || !d.Identity.Allows(needed) {
				return fmt.Errorf("%w: %s: %w", errWrong, d.Code, d.Cause)
			}
		}
		if looks := s.looks.keys.Load() - before; looks < int64(n)*98/100 {
			return fmt.Errorf("%w: %d of %d keys were remembered", errWrong, int64(n)-looks, n)
		}
		return nil
	}
}

// verifyJunk checks text that looks like a token but has wrong check digits. It must not reach
// the store.
func (s *Stage) verifyJunk(ctx context.Context) func(int) error {
	var junk []string
	for range few {
		t := keys.NewToken(keys.KindKey).Secret().Reveal()
		last := "0"
		if strings.HasSuffix(t, last) {
			last = "1"
		}
		junk = append(junk, t[:keys.TokenLen-1]+last)
	}
	return func(n int) error {
		before := s.calls.keys.Load() + s.calls.feed.Load()
		for i := range n {
			if d := s.hit.Authenticate(ctx, junk[i%few], call); d.Code != keys.CodeMalformed {
				return fmt.Errorf("%w: %s", errWrong, d.Code)
			}
		}
		return exactly("calls of the store", s.calls.keys.Load()+s.calls.feed.Load()-before, 0)
	}
}

// verifyUnknown checks well-formed tokens without a key, distinct ones in turn. Beyond those
// that are remembered, each goes to the store.
func (s *Stage) verifyUnknown(ctx context.Context, distinct int) func(int) error {
	var tokens []string
	for range distinct {
		tokens = append(tokens, keys.NewToken(keys.KindKey).Secret().Reveal())
	}
	next := 0
	return func(n int) error {
		for range n {
			if d := s.miss.Authenticate(ctx, tokens[next%distinct], call); d.Code != keys.CodeNotFound {
				return fmt.Errorf("%w: %s: %w", errWrong, d.Code, d.Cause)
			}
			next++
		}
		return nil
	}
}

func (s *Stage) revokedDenied(ctx context.Context) func(int) error {
	return func(n int) error {
		for range n {
			if d := s.hit.Authenticate(ctx, s.revoked, call); d.Code != keys.CodeRevoked {
				return fmt.Errorf("%w: %s: %w", errWrong, d.Code, d.Cause)
			}
		}
		return nil
	}
}

// issueBy issues keys from several goroutines. Each key is on the disk when Issue returns.
func (s *Stage) issueBy(ctx context.Context, goroutines int) func(int) error {
	return func(n int) error {
		return parallel(goroutines, n, func(_, n int) error {
			for range n {
				if _, err := s.issue(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func exactly(what string, got, want int64) error {
	if got != want {
		return fmt.Errorf("%w: %d %s, want %d", errWrong, got, what, want)
	}
	return nil
}
