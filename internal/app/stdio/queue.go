package stdio

import "sync"

// An item is a message on its way.
type item struct {
	text   []byte
	answer bool // to a request of the stream
	failed bool // the answer is an error
	code   int64
}

// A queue holds items up to a number of bytes, or one of any size.
type queue struct {
	max int

	mu      sync.Mutex
	items   []item
	size    int
	closed  bool
	changed chan struct{} // closed and replaced by every change
}

// itemCost is what an item takes beside its text.
const itemCost = 64

func newQueue(limit int) *queue { return &queue{max: limit, changed: make(chan struct{})} }

// put adds an item. If there is no room for it, the channel closes when to try again.
func (q *queue) put(i item) (ok bool, again <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.size > 0 && q.size+len(i.text)+itemCost > q.max {
		return false, q.changed
	}
	q.add(i)
	return true, nil
}

// force adds an item beyond the bound.
func (q *queue) force(i item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.add(i)
	}
}

func (q *queue) add(i item) {
	q.items = append(q.items, i)
	q.size += len(i.text) + itemCost
	q.signal()
}

// take returns the oldest item, or a channel that closes when to try again; ended means that
// the queue is closed and empty.
func (q *queue) take() (i item, ok, ended bool, again <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return item{}, false, q.closed, q.changed
	}
	i = q.items[0]
	q.items[0] = item{}
	q.items = q.items[1:]
	q.size -= len(i.text) + itemCost
	q.signal()
	return i, true, false, nil
}

// close refuses further items.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		q.signal()
	}
}

func (q *queue) signal() {
	close(q.changed)
	q.changed = make(chan struct{})
}
