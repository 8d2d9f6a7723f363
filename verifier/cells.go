package verifier

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/mcpkeys/mcpkeys/keys"
)

// keyID is the id of a key, whose length is fixed.
type keyID [keys.IDLen]byte

// idOf is the text as an id, nil if it has another length. It shares text's memory and is only
// read: a copy would cost as much as the search.
func idOf(text string) *keyID {
	if len(text) != keys.IDLen {
		return nil
	}
	return (*keyID)(unsafe.Pointer(unsafe.StringData(text)))
}

// cells finds the cell of a key without a lock. It holds a bounded number of them: for one that
// is added beyond, one goes that no check has found lately (the CLOCK algorithm).
//
// It is an open table of pointers, which only add changes, under a lock. A slot goes from
// empty to a cell, and from there to vacant, never back to empty, so that a search which stops
// at an empty slot has seen all. A table with too few empty slots is replaced by another one.
//
// A check may still have a cell that is no longer in the table, or may not find one that was
// just added. Neither must do harm: see [cache.remembers] and [cache.forget].
type cells struct {
	table atomic.Pointer[table]
	odd   [2]uint64 // of this process, so that ids that share a place cannot be foreseen

	mu   sync.Mutex
	most int
	all  []*cell
	hand int // where in all the search for a cell to remove continues
}

type table struct {
	slots []atomic.Pointer[cell] // a power of two
	mask  uint64                 // of the place of a slot
	shift int                    // of a hash, to its place
	empty int                    // how many slots may still be taken; guarded by cells.mu
}

// vacant stands where a cell was.
var vacant = &cell{}

// leastSlots is the size of the smallest table, in bits.
const leastSlots = 4

// maxSteps is how many cells are looked at to find one to remove. After that the next one
// goes, used or not: an addition must not wait for a search of all.
const maxSteps = 256

func newCells(most int) *cells {
	c := &cells{most: most, odd: [2]uint64{rand.Uint64() | 1, rand.Uint64() | 1}} //nolint:gosec // places of a table, not secrets
	c.table.Store(newTable(0))
	return c
}

// newTable has room for n cells and as many more, and stays half empty.
func newTable(n int) *table {
	bits := leastSlots
	for 1<<bits < 4*n {
		bits++
	}
	return &table{slots: make([]atomic.Pointer[cell], 1<<bits), mask: 1<<bits - 1, shift: 64 - bits, empty: 1 << (bits - 1)}
}

// hash has its best bits at the top. The two words of an id overlap.
func (c *cells) hash(id *keyID) uint64 {
	return binary.LittleEndian.Uint64(id[:8])*c.odd[0] + binary.LittleEndian.Uint64(id[keys.IDLen-8:])*c.odd[1]
}

// find returns the cell of the key, or nil.
func (c *cells) find(text string) *cell {
	id := idOf(text)
	if id == nil {
		return nil
	}
	one := c.look(id)
	if one != nil && !one.found.Load() {
		one.found.Store(true)
	}
	return one
}

func (c *cells) look(id *keyID) *cell {
	t := c.table.Load()
	for i := c.hash(id) >> t.shift; ; i++ {
		one := t.slots[i&t.mask].Load()
		if one == nil {
			return nil
		}
		if one.tally.key == *id && one != vacant {
			return one
		}
	}
}

// add returns the cell of the key, a new one if there was none. An id that none has gets a cell
// that is not found again.
func (c *cells) add(text string) *cell {
	id := idOf(text)
	if id == nil {
		return &cell{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if one := c.look(id); one != nil {
		return one
	}
	one := &cell{tally: tally{key: *id}}
	if len(c.all) < c.most {
		c.all = append(c.all, one)
	} else {
		c.all[c.removed()] = one
	}
	t := c.table.Load()
	if t.empty == 0 {
		c.rebuild() // with one
		return one
	}
	c.put(t, one)
	return one
}

// put takes the first slot that has no cell. Its id is not in the table.
func (c *cells) put(t *table, one *cell) {
	for i := c.hash(&one.tally.key) >> t.shift; ; i++ {
		slot := &t.slots[i&t.mask]
		switch slot.Load() {
		case nil:
			t.empty--
		case vacant:
		default:
			continue
		}
		slot.Store(one)
		return
	}
}

// rebuild makes a table of all cells, without vacant slots. With 100,000 keys that takes some
// milliseconds, once in as many additions.
func (c *cells) rebuild() {
	t := newTable(len(c.all))
	for _, one := range c.all {
		c.put(t, one)
	}
	c.table.Store(t)
}

// removed removes a cell and returns its place in all.
func (c *cells) removed() (place int) {
	for range maxSteps {
		place = c.next()
		if !c.all[place].found.Swap(false) {
			break
		}
	}
	c.remove(c.all[place])
	return place
}

func (c *cells) next() int {
	place := c.hand % len(c.all)
	c.hand = place + 1
	return place
}

// remove takes a cell out of the table.
func (c *cells) remove(one *cell) {
	t := c.table.Load()
	for i := c.hash(&one.tally.key) >> t.shift; ; i++ {
		slot := &t.slots[i&t.mask]
		if slot.CompareAndSwap(one, vacant) {
			return
		}
	}
}

// each returns the cells that are in the table now.
func (c *cells) each() []*cell {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}
