package verifier

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/mcpkeys/mcpkeys/keys"
)

// ids are n ids of keys.
func ids(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = keys.NewID()
	}
	return list
}

// check fails unless the table holds all cells, each once, and nothing else.
func (c *cells) check(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	in, vacancies := map[*cell]int{}, 0
	slots := c.table.Load().slots
	for i := range slots {
		switch one := slots[i].Load(); one {
		case nil:
		case vacant:
			vacancies++
		default:
			in[one]++
		}
	}
	if len(in) != len(c.all) || len(in)+vacancies > len(slots)/2 {
		t.Fatalf("%d slots with %d cells and %d vacancies; %d cells are kept", len(slots), len(in), vacancies, len(c.all))
	}
	for _, one := range c.all {
		if in[one] != 1 || c.look(&one.tally.key) != one {
			t.Fatalf("the cell of %s is in %d slots", one.tally.key, in[one])
		}
	}
}

// There are never more cells than allowed, and each that is kept is found, whatever comes and
// goes.
func TestCells(t *testing.T) {
	for _, most := range []int{1, 2, 7, 100, 1000} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			c := newCells(most)
			for i, id := range ids(10 * most) {
				one := c.add(id)
				if again := c.add(id); again != one || c.find(id) != one {
					t.Fatalf("%s has two cells", id)
				}
				if len(c.all) != min(i+1, most) {
					t.Fatalf("after %d keys: %d cells", i+1, len(c.all))
				}
				if i%most == 0 {
					c.check(t)
				}
			}
			c.check(t)
		})
	}
}

// Ids that share one place are found all the same, and make room for each other.
func TestCellsOfOneHash(t *testing.T) {
	c := newCells(100)
	c.odd = [2]uint64{} // every hash is zero
	list := ids(500)
	for _, id := range list {
		one := c.add(id)
		if c.find(id) != one {
			t.Fatalf("%s is not found", id)
		}
	}
	c.check(t)
	for _, id := range list[:100] {
		if c.find(id) != nil {
			t.Fatalf("%s is still found after 400 others", id)
		}
	}
}

// One key that is added again and again is one cell.
func TestCellsOfOneKey(t *testing.T) {
	c, id := newCells(10), keys.NewID()
	one := c.add(id)
	for range 1000 {
		if c.add(id) != one {
			t.Fatal("a second cell of one key")
		}
	}
	c.check(t)
}

// A key in use stays while others come and go, and a search for one to remove ends although all
// are in use.
func TestCellsInUseStay(t *testing.T) {
	c, used := newCells(100), keys.NewID()
	one := c.add(used)
	for _, id := range ids(10_000) {
		if c.find(used) != one {
			t.Fatal("a key that was found since is gone")
		}
		c.add(id)
	}
	many := newCells(10 * maxSteps)
	for _, id := range ids(10 * maxSteps) {
		many.add(id)
		many.find(id)
	}
	many.add(keys.NewID())
	many.check(t)
	if still := len(many.all); still != 10*maxSteps {
		t.Errorf("cells: got %d, want %d", still, 10*maxSteps)
	}
}

// A text of another length is the id of no key: nothing is found, kept or removed for it.
func TestCellsOfNoID(t *testing.T) {
	c := newCells(1)
	one := c.add("abcdefghijkl")
	for _, text := range []string{"", "abcdefghijk", "abcdefghijklm"} {
		if c.find(text) != nil || c.add(text) == one || c.find(text) != nil {
			t.Errorf("%q is found", text)
		}
	}
	if zero := string(make([]byte, keys.IDLen)); c.find(zero) != nil {
		t.Error("twelve zero bytes are found: the id of a vacant slot")
	}
	c.add("mnopqrstuvwx") // leaves a vacant slot
	if zero := string(make([]byte, keys.IDLen)); c.find(zero) != nil {
		t.Error("twelve zero bytes are found after a removal")
	}
	c.check(t)
}

// What is found is the cell of that key, while many add and remove others. A key in use is found
// at each moment.
func TestCellsInTheRush(t *testing.T) {
	c, list := newCells(512), ids(2048)
	kept := c.add(list[0])
	var all sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for range 20_000 {
				id := list[rand.IntN(len(list))]
				one := c.find(id)
				if one == nil {
					one = c.add(id)
				}
				if string(one.tally.key[:]) != id {
					t.Errorf("%s: got the cell of %s", id, one.tally.key)
					return
				}
				if c.find(list[0]) != kept {
					t.Error("a key in use is not found")
					return
				}
			}
		})
	}
	all.Wait()
	c.check(t)
}
