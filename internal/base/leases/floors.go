package leases

import (
	"container/heap"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
)

// floors is how many leases there are at each position. It finds the lowest one.
type floors struct {
	count  map[protocol.Position]int // zero: only the heap still has it
	heap   positions
	leases int
}

func (f *floors) add(p protocol.Position) {
	if _, known := f.count[p]; !known {
		heap.Push(&f.heap, p)
	}
	if f.count == nil {
		f.count = map[protocol.Position]int{}
	}
	f.count[p]++
	f.leases++
}

func (f *floors) remove(p protocol.Position) {
	f.count[p]--
	f.leases--
	if len(f.heap) > 2*f.leases+minHeap {
		f.clean()
	}
}

// minHeap is how many positions without a lease are kept at the least.
const minHeap = 64

// clean drops the positions without a lease, of which there may be many above a verifier that
// applies nothing.
func (f *floors) clean() {
	f.heap = f.heap[:0]
	for p, n := range f.count {
		if n == 0 {
			delete(f.count, p)
			continue
		}
		f.heap = append(f.heap, p)
	}
	heap.Init(&f.heap)
}

// lowest reports false if there is no lease.
func (f *floors) lowest() (protocol.Position, bool) {
	for len(f.heap) > 0 {
		if p := f.heap[0]; f.count[p] > 0 {
			return p, true
		}
		delete(f.count, f.heap[0])
		heap.Pop(&f.heap)
	}
	return 0, false
}

type positions []protocol.Position

func (h positions) Len() int           { return len(h) }
func (h positions) Less(i, j int) bool { return h[i] < h[j] }
func (h positions) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *positions) Push(p any)        { *h = append(*h, p.(protocol.Position)) }

func (h *positions) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	*h = (*h)[:last]
	return p
}
