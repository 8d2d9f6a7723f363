package verifier

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/maypok86/otter/v2"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/verifier/internal/flight"
	"github.com/mcpkeys/mcpkeys/verifier/internal/siphash"
)

// cache holds the keys that the verifier remembers. None is older than what the last look
// found.
type cache struct {
	source Source
	remote bool
	watch  watch
	cells  *cells

	policies *policies

	hash siphash.Key // of this process: tokens are compared by its sums

	// forgotten counts how often keys were dropped: the generation of the cache.
	forgotten atomic.Uint64

	// fills are the reads of keys, by id. The row that a fill read is remembered only if the
	// key did not change since: no change is announced twice, so a row from before a change,
	// if stored after its announcement, would stay permanently. A check for which fresh has
	// returned may use a fill that is not marked: if its row were from before a change, the
	// look that found the change would have marked it.
	fills flight.Group[string, *entry]

	// Imported tokens name no key. Owners has the key of a token by the token's sum.
	// While the feed says that nothing is imported, such tokens are refused without a read.
	imported atomic.Bool
	owners   *otter.Cache[siphash.Sum, owner]

	changed func(feed.Changes) // is called with changes after the keys were dropped
	dropped func()             // for tests: is called after each changed key was dropped; nil otherwise
}

// owner is the key of an imported token in one generation. After a change it is useless:
// another key with the same token may have been revoked.
type owner struct {
	id         string
	generation uint64
}

// open opens h in place.
func (h *cache) open(source Source, size int, clock func() moment, changed func(feed.Changes)) (err error) {
	h.source, h.changed = source, changed
	h.remote = source.Bounds().Remote
	h.watch.source, h.watch.bounds, h.watch.clock, h.watch.forget = source, source.Bounds(), clock, h.forget
	h.cells, h.policies, h.hash = newCells(size), newPolicies(), siphash.NewKey()
	h.owners, err = otter.New(&otter.Options[siphash.Sum, owner]{MaximumSize: size, Executor: atOnce})
	return err
}

// seek takes the id from the place where an mcpkeys token has it, and reports whether there
// is a cell of that key. It comes first because it is cheap: most tokens are valid, and most
// other texts are not tokens.
func (h *cache) seek(c *check) bool {
	id, ok := keys.TokenID(c.token)
	if !ok {
		return false
	}
	c.id, c.generation = id, h.forgotten.Load()
	c.cell = h.cells.find(id)
	c.guessed = c.cell != nil
	return c.guessed
}

// remembers reports whether a remembered proof matches c's token. Call it after fresh.
func (h *cache) remembers(c *check) bool {
	switch generation := h.forgotten.Load(); {
	case c.imported:
		h.seekOwner(c, generation)
	case c.generation != generation: // the cell may have been evicted before it could be emptied
		c.cell = h.cells.find(c.id)
	}
	if c.cell == nil {
		return false
	}
	if c.entry = c.cell.entry.Load(); c.entry == nil {
		return false
	}
	c.proof = c.entry.proved(&c.sum)
	return c.proof != nil
}

func (h *cache) seekOwner(c *check, generation uint64) {
	o, ok := h.owners.GetIfPresent(c.sum)
	if !ok {
		return
	}
	c.id = o.id
	if o.generation == generation {
		c.cell = h.cells.find(o.id)
	}
}

// learn remembers that c's token is a secret of the key that p names, and reports false if p does
// not name one. A remote source returns a key with each proof, and a local one what current
// returned.
func (h *cache) learn(c *check, p *Proof) bool {
	var e *entry
	switch {
	case h.remote && p.Key != nil && p.Key.Secret(p.Secret) != nil:
		c.cell = h.cell(p.Key.ID)
		if c.alone {
			e = newEntry(p.Key)
		} else {
			e = h.keep(c, p.Key)
		}
	case !h.remote && p.Known != nil && p.Known.entry != nil && p.Known.Secret(p.Secret) != nil:
		e = p.Known.entry // if the key changed since, c's cell has another one, or none
		c.cell = h.cell(e.known.ID)
	default:
		return false
	}
	if c.entry = e; c.imported {
		if c.id = e.known.ID; !c.alone {
			h.owners.Set(c.sum, owner{c.id, c.generation})
		}
	}
	c.proof = e.note(e.known.Secret(p.Secret), &c.sum, &c.cell.tally)
	return true
}

// keep remembers a key that came with a proof, unless anything changed since before the source
// was asked: forget counts its generations while no key can be kept.
func (h *cache) keep(c *check, k *keys.Key) *entry {
	e := h.made(k)
	h.fills.Hold(func() {
		if h.forgotten.Load() != c.generation {
			return
		}
		if was := c.cell.entry.Load(); was != nil && was.version == k.Version {
			e = was // with the proof of the key's other secret
			return
		}
		c.cell.entry.Store(e)
	})
	return e
}

// cell returns the cell of an existing key. If the cache has none, it adds an empty one.
func (h *cache) cell(id string) *cell {
	if c := h.cells.find(id); c != nil {
		return c
	}
	return h.cells.add(id)
}

// known is what current knows of the key, for [Question].Current.
func (h *cache) known(ctx context.Context, id string) (*Known, error) {
	e, err := h.current(ctx, id)
	if err == nil && e == nil {
		err = keys.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return &e.known, nil
}

// current returns the key's present entry or a later one, nil for an unknown id. Call it
// after fresh.
func (h *cache) current(ctx context.Context, id string) (*entry, error) {
	if c := h.cells.find(id); c != nil {
		if e := c.entry.Load(); e != nil {
			return e, nil
		}
	}
	id = strings.Clone(id) // or the token would stay in memory with it
	one, began := h.fills.Join(id)
	if !began {
		if err := one.Wait(ctx); err != nil {
			return nil, err
		}
		return one.Result, one.Err
	}
	var c *cell // is made before Land, under whose lock nothing should take long
	defer h.fills.Land(id, one, func(e *entry) {
		if e != nil {
			c.entry.Store(e)
		}
	})
	one.Result, one.Err = h.read(context.WithoutCancel(ctx), id) // a caller that disconnects must not fail the waiting ones
	if one.Result != nil {
		c = h.cell(id)
	}
	return one.Result, one.Err
}

// read asks the source for the key.
func (h *cache) read(ctx context.Context, id string) (*entry, error) {
	k, err := h.source.Key(ctx, id)
	if errors.Is(err, keys.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return h.made(k), nil
}

// made is an entry of k.
func (h *cache) made(k *keys.Key) *entry { return entryOf(k, h.policies.of(k)) }

// forget drops changed keys. It first marks reads that are running, so that they cannot put
// an old key into the cache afterwards.
func (h *cache) forget(c feed.Changes) {
	h.imported.Store(c.Imported)
	if len(c.IDs) == 0 && !c.Lost {
		return
	}
	h.fills.Mark(c.Lost, c.IDs...)
	h.fills.Hold(func() { h.forgotten.Add(1) }) // see keep
	if c.Lost {
		for _, one := range h.cells.each() {
			one.entry.Store(nil)
		}
	}
	for _, id := range c.IDs {
		if one := h.cells.find(id); one != nil {
			one.entry.Store(nil)
		}
		if h.dropped != nil {
			h.dropped()
		}
	}
	h.forgotten.Add(1) // for checks that found a cell which was evicted before it could be emptied
	h.changed(c)
}

// atOnce makes the caches do their upkeep in the call that causes it. By default they start
// a goroutine for each write, which took a third of the time of a miss.
func atOnce(upkeep func()) { upkeep() }
