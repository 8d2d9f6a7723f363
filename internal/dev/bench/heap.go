package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// remembered is how many keys heapRemembered has a verifier remember.
const remembered = 50_000

// heapRemembered is how much memory one more key takes in a verifier, in bytes: each key is
// checked once, and all of them are remembered. The tokens, the store and the empty verifier are
// there before, and do not count. All keys have the same scopes and the same audience.
func (s *Stage) heapRemembered(ctx context.Context) (float64, error) {
	tokens := s.manyTokens[:min(remembered, len(s.manyTokens))]
	if len(tokens) == 0 {
		return 0, fmt.Errorf("%w: there are no keys to remember", errWrong)
	}
	source := &counted{Reader: s.many}
	v, err := verifier.New(local.New(source, &local.Options{ReadOnly: true}), &verifier.Options{
		Keys: 2 * remembered, Strangers: keys.RateLimit{Count: 100_000_000, Window: time.Second, Burst: 100_000_000},
	})
	if err != nil {
		return 0, err
	}
	defer func() { _ = v.Close() }()
	before := live()
	for _, t := range tokens {
		if d := v.Authenticate(ctx, t, call); !d.Valid() {
			return 0, fmt.Errorf("%w: %s: %w", errWrong, d.Code, d.Cause)
		}
	}
	after := live()
	reads := source.keys.Load()
	for _, t := range tokens { // all of them are there
		if d := v.Authenticate(ctx, t, call); !d.Valid() {
			return 0, fmt.Errorf("%w: %s: %w", errWrong, d.Code, d.Cause)
		}
	}
	if err := exactly("look-ups", source.keys.Load()-reads, 0); err != nil {
		return 0, err
	}
	return (after - before) / float64(len(tokens)), nil
}

// live is what is reachable, in bytes. What the first collection found may have had a cleanup.
func live() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
