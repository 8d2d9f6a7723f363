// Package flight shares one run among all callers that ask for the same thing at the same
// time. The verifier's looks at the store, its reads of keys and the slow hashes of imported
// secrets are flights. Call [Group.Join], and Land if it began a flight, Wait otherwise.
//
// Two rules make sure that a revoked key is not accepted:
//
//   - A caller takes the result of a flight that it did not begin only if the flight
//     noted at least the epoch that the caller loaded ([Flight.Covers]): what moved the
//     epoch later may have been committed after the flight's reading.
//   - The result of a flight is remembered only if no change marked the flight
//     ([Group.Mark]) before it landed. No further caller joins a marked flight either: the
//     next one begins another.
//
// verifier/internal/model switches each rule off in turn, and shows what goes wrong.
package flight

import (
	"context"
	"fmt"
	"sync"

	"github.com/mcpkeys/mcpkeys/keys"
)

// ErrBrokeOff is the error of a flight that panicked.
var ErrBrokeOff = fmt.Errorf("%w: reading failed", keys.ErrUnavailable)

// Group holds the flights under way, by the key that was given to Join. The zero Group is
// ready for use.
type Group[K comparable, R any] struct {
	mu     sync.Mutex
	flying map[K]*Flight[R]
}

// Flight is one run. The caller that began it sets Noted, Result and Err before it lands;
// all others read them after [Flight.Wait].
type Flight[R any] struct {
	Noted  uint64 // the epoch, loaded before anything was read
	Result R
	Err    error // [ErrBrokeOff] unless it is set

	marked bool // guarded by Group.mu
	done   chan struct{}
}

// Covers reports whether the flight read everything that was announced up to epoch.
func (f *Flight[R]) Covers(epoch uint64) bool { return f.Noted >= epoch }

// Join returns the flight under way for key, or begins one, which the caller must land.
func (g *Group[K, R]) Join(key K) (f *Flight[R], began bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.flying[key]; f != nil && !f.marked {
		return f, false
	}
	f = &Flight[R]{Err: ErrBrokeOff, done: make(chan struct{})}
	if g.flying == nil {
		g.flying = map[K]*Flight[R]{}
	}
	g.flying[key] = f // a marked one that stood here lands without being remembered
	return f, true
}

// Mark says that what the flights for the given keys read may be out of date; with all,
// what any flight read.
func (g *Group[K, R]) Mark(all bool, of ...K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if all {
		for _, f := range g.flying {
			f.marked = true
		}
	}
	for _, key := range of {
		if f := g.flying[key]; f != nil {
			f.marked = true
		}
	}
}

// Land ends a flight. Remember, which may be nil, gets the result if the flight succeeded
// and no change marked it; no change can mark it while remember runs.
func (g *Group[K, R]) Land(key K, f *Flight[R], remember func(R)) {
	g.mu.Lock()
	if g.flying[key] == f {
		delete(g.flying, key)
		if !f.marked && f.Err == nil && remember != nil {
			remember(f.Result)
		}
	}
	g.mu.Unlock()
	close(f.done)
}

// Wait returns nil when the flight has landed, and an error when ctx ends first.
func (f *Flight[R]) Wait(ctx context.Context) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting for the store: %w", keys.ErrUnavailable, context.Cause(ctx))
	}
}

// Landed is closed when the flight has landed.
func (f *Flight[R]) Landed() <-chan struct{} { return f.done }

// Hold calls do while no flight can begin, be marked or land.
func (g *Group[K, R]) Hold(do func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	do()
}
