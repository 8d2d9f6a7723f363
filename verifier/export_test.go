package verifier

import "slices"

// What tests of this package see besides its API.

// Remembers reports whether anything is remembered of the key.
func (v *Verifier) Remembers(id string) bool {
	return v.cache.cells.find(id) != nil
}

// OnDropped calls do whenever a look has dropped one key that changed.
func (v *Verifier) OnDropped(do func()) { v.cache.dropped = do }

// Evict has the verifier forget the key to make room for others.
func (v *Verifier) Evict(id string) {
	c := v.cache.cells
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.look((*keyID)([]byte(id)))
	c.remove(one)
	c.all = slices.DeleteFunc(c.all, func(o *cell) bool { return o == one })
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
