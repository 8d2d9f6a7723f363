package local

import (
	"context"
	"sync"

	"github.com/maypok86/otter/v2"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// maxEndings is how many keys endings remembers.
const maxEndings = 100_000

// endings remembers the superseded secrets of keys that got wrong secrets, so that a flood
// of wrong secrets does not become a flood of reads. A list belongs to the key as it was
// read: each rotation makes a new one.
type endings struct {
	byID *otter.Cache[string, *ending]
}

type ending struct {
	key *verifier.Known // as it was read

	mu   sync.Mutex
	read bool
	list []keys.Superseded
}

func newEndings() (*endings, error) {
	byID, err := otter.New(&otter.Options[string, *ending]{MaximumSize: maxEndings, Executor: func(upkeep func()) { upkeep() }})
	return &endings{byID}, err
}

// of returns the superseded secrets of k.
func (e *endings) of(ctx context.Context, store Store, k *verifier.Known) ([]keys.Superseded, error) {
	one, ok := e.byID.GetIfPresent(k.ID)
	if !ok || one.key != k {
		one = &ending{key: k}
		e.byID.Set(k.ID, one)
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if !one.read {
		list, err := store.Superseded(ctx, k.ID)
		if err != nil {
			return nil, err
		}
		one.list, one.read = list, true
	}
	return one.list, nil
}
