package verifier

// What tests of this package see besides its API.

// Remembers reports whether anything is remembered of the key.
func (v *Verifier) Remembers(id string) bool {
	_, ok := v.cache.cells.GetIfPresent(id)
	return ok
}

// OnDropped calls do whenever a look has dropped one key that changed.
func (v *Verifier) OnDropped(do func()) { v.cache.dropped = do }

// Evict has the verifier forget the key to make room for others.
func (v *Verifier) Evict(id string) {
	v.cache.cells.Invalidate(id)
}

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
