package pepper

import (
	"fmt"
	"slices"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Add returns the peppers together with a fresh one, which is current from then on,
// and its id. The one that was current is old now: it still verifies. The receiver
// stays as it is.
func (p *Set) Add() (with *Set, id string, err error) {
	fresh, err := Generate()
	if err != nil {
		return nil, "", err
	}
	if p.Has(fresh.current.id) { // one in 57 thousand million
		return nil, "", fmt.Errorf("make pepper: its id is taken; try again")
	}
	all := append(slices.Clone(p.order), fresh.current)
	return newPeppers(fresh.current, all).ForStore(p.store), fresh.current.id, nil
}

// Remove returns the peppers without one that is old: nothing that was made with it
// verifies any more. It fails with ErrConflict for the current one, and with
// ErrNotFound. The receiver stays as it is.
func (p *Set) Remove(id string) (*Set, error) {
	if err := p.MayRemove(id); err != nil {
		return nil, err
	}
	left := slices.DeleteFunc(slices.Clone(p.order), func(one *pepper) bool { return one.id == id })
	return newPeppers(p.current, left).ForStore(p.store), nil
}

// unknownError is [keys.ErrNotFound] for a pepper, not for a key.
type unknownError struct{}

func (unknownError) Error() string { return "no such pepper; 'keyctl pepper list' shows the ids" }
func (unknownError) Unwrap() error { return keys.ErrNotFound }

// MayRemove says why [Set.Remove] would fail. The store knows which keys still need the
// pepper.
func (p *Set) MayRemove(id string) error {
	switch {
	case !p.Has(id):
		return unknownError{}
	case id == p.current.id:
		return keys.Conflict("that is the current pepper; add another one first")
	}
	return nil
}

// Current is the id of the pepper with which digests and seals are made.
func (p *Set) Current() string { return p.current.id }

// IDs returns the ids of all peppers, oldest first.
func (p *Set) IDs() []string {
	ids := make([]string, 0, len(p.order))
	for _, one := range p.order {
		ids = append(ids, one.id)
	}
	return ids
}

// Has reports whether the pepper with that id is among them.
func (p *Set) Has(id string) bool {
	_, ok := p.byID[id]
	return ok
}
