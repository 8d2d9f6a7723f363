package verifier

import (
	"github.com/maypok86/otter/v2"
	"github.com/maypok86/otter/v2/stats"
)

// What tests of this package see besides its API.

// Remembers reports whether anything is remembered of the key.
func (v *Verifier) Remembers(id string) bool {
	_, ok := v.cache.cells.GetIfPresent(id)
	return ok
}

// OnFound calls do whenever a key is found among the remembered ones, before anything
// is done with it. It comes before the first check.
func (v *Verifier) OnFound(do func()) (err error) {
	v.cache.cells, err = otter.New(&otter.Options[string, *cell]{
		MaximumSize: DefaultKeys, Executor: atOnce, StatsRecorder: &found{do: do},
	})
	return err
}

type found struct {
	stats.NoopRecorder
	do func()
}

func (f *found) RecordHits(int) { f.do() }

// WhileReadsAreCounted calls do while no read of a key can begin or end.
func (v *Verifier) WhileReadsAreCounted(do func()) {
	v.cache.fills.Hold(do)
}

// Strangers counts the unknown tokens and the addresses that are remembered, and how many
// of each may be.
func (v *Verifier) Strangers() (tokens, sources, most int) {
	v.door.unknown.tokens.CleanUp()
	v.door.asked.buckets.CleanUp()
	return v.door.unknown.tokens.EstimatedSize(), v.door.asked.buckets.EstimatedSize(), min(maxUnknown, maxSources)
}
