// Package leases has the registry of a server: which verifiers on other hosts hold a lease, and
// what each of them has applied (ADR 0012). Begin at [Registry.Renew].
//
// The order of a renewal keeps the promise that no verifier accepts a key after its revocation
// returned: note the lease, publish the floor in the server's [Slot], find the own nonce there,
// and only then look at the store. A change that this look does not see comes later, and the
// program that makes it finds the lease.
//
// The registry refuses a position that the store has not reached ([ErrBeyond]), and grants no
// lease if its slot was lost, or if it has too many verifiers: these then ask for each request.
package leases

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

const (
	tick         = 2 * time.Millisecond   // how often the epoch is compared while there are verifiers
	slotEvery    = 500 * time.Millisecond // how often the slot is checked in any case
	listEvery    = time.Second            // how often the list of verifiers is stored
	retryLook    = 100 * time.Millisecond // the pause after a look that failed
	retrySlot    = 250 * time.Millisecond // the pause after a slot could not be renewed
	warnEvery    = time.Minute
	handedAtOnce = time.Second // how far ahead of need HandedOut publishes
)

// Options configures [New]. Nil and the zero value are valid.
type Options struct {
	Now    func() time.Time // nil means time.Now; leases follow its monotonic reading
	Logger *slog.Logger     // nil discards
}

// Registry is safe for concurrent use. Make one with [New].
type Registry struct {
	feed   feed.Feed
	bounds feed.Bounds
	slot   Slot
	now    func() time.Time
	start  time.Time
	logger *slog.Logger
	done   chan struct{} // closed by Close
	left   chan struct{} // closed by Leave
	wake   chan struct{} // there is a lease or a follower again
	// running are the looks and the loop.
	running sync.WaitGroup

	next   feed.Position // where the next look continues; only a look uses it
	adrift bool          // the last look ended the trust in positions; only a look uses it

	mu       sync.Mutex // guards what follows, and calls of slot
	closed   bool
	leaving  bool
	last     *look // the last one without an error
	looking  *look // under way, or nil
	tried    time.Duration
	position protocol.Position // zero before the first look
	imported bool
	history  history
	era      string        // another one since the history was lost
	moved    chan struct{} // closed when position or era moves

	verifiers map[who]*lease
	byCaller  map[string]int
	arrivals  list.List // of *lease, the first to end first
	floors    floors
	streams   map[who]*stream
	streaming map[string]int // streams by caller
	followers int

	unknownUntil  time.Duration // the floor is unknown
	published     uint64
	held          bool          // the slot was this server's then
	checked       time.Duration // when the floor was published
	renewAfter    time.Duration // not before is the slot renewed
	handed        time.Time     // what HandedOut published
	described     bool          // the list in the slot has verifiers
	describeAfter time.Duration
	warned        map[string]time.Duration
}

// New returns the registry of a server that reads f and holds slot. The caller closes it
// before the store. Unless the slot was free, the floor is unknown until a lease and 5 % after
// New, because an earlier server may have granted leases.
func New(f feed.Feed, slot Slot, o *Options) *Registry {
	r := &Registry{
		feed: f, bounds: f.Bounds(), slot: slot, now: time.Now, logger: slog.New(slog.DiscardHandler), //nolint:forbidigo // the default clock
		done: make(chan struct{}), left: make(chan struct{}), wake: make(chan struct{}, 1), moved: make(chan struct{}),
		verifiers: map[who]*lease{}, byCaller: map[string]int{}, warned: map[string]time.Duration{},
		era: newEra(), streams: map[who]*stream{}, streaming: map[string]int{},
		unknownUntil: feed.LongestLease,
	}
	if slot.WasFree() {
		r.unknownUntil = 0
	}
	if o != nil && o.Now != nil {
		r.now = o.Now
	}
	if o != nil && o.Logger != nil {
		r.logger = o.Logger
	}
	r.start = r.now()
	r.mu.Lock()
	r.publish()
	r.mu.Unlock()
	r.running.Go(r.follow)
	return r
}

func (r *Registry) elapsed() time.Duration { return r.now().Sub(r.start) }

// ErrClosed is the error of a registry that was closed.
var ErrClosed = fmt.Errorf("%w: this server is stopping", keys.ErrUnavailable)

// Leave ends all streams, and refuses new ones: the server is about to stop. Leases are granted
// as before.
func (r *Registry) Leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.leaving {
		r.leaving = true
		close(r.left)
	}
}

// Close ends streams and calls of [Registry.Follow], and gives the slot up. After it nothing
// is granted. Leases that were granted count until they end.
func (r *Registry) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	close(r.done)
	r.mu.Unlock()
	r.running.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire()
	return r.slot.Close(len(r.verifiers) == 0 && r.elapsed() >= r.unknownUntil)
}

// floor is what the slot must say now.
func (r *Registry) floor() uint64 {
	if r.elapsed() < r.unknownUntil {
		return FloorUnknown
	}
	if lowest, some := r.floors.lowest(); some {
		return uint64(lowest)
	}
	return FloorNone
}

// publish reports whether leases may be granted. If the slot was lost, it takes one again, and
// reports false this time.
func (r *Registry) publish() bool {
	r.published, r.checked = r.floor(), r.elapsed()
	if r.held = r.slot.Publish(r.published); r.held {
		return true
	}
	r.renewSlot()
	return false
}

// renewSlot begins in a new slot, which knows no lease and no answer of before.
func (r *Registry) renewSlot() {
	if r.elapsed() < r.renewAfter {
		return
	}
	if err := r.slot.Renew(); err != nil {
		r.renewAfter = r.elapsed() + retrySlot
		if !errors.Is(err, errNoSlot) {
			r.warn("no slot in the key store: verifiers on other hosts get no lease and ask for each request", slog.Any("error", err))
		}
		return
	}
	r.unknownUntil = r.elapsed() + feed.LongestLease
	r.published = FloorUnknown
	if !r.handed.IsZero() {
		r.slot.HandedOut(r.handed)
	}
}

// warn logs message at most once a minute.
func (r *Registry) warn(message string, attrs ...slog.Attr) {
	now := r.elapsed()
	if before, told := r.warned[message]; told && now-before < warnEvery {
		return
	}
	r.warned[message] = now
	r.logger.LogAttrs(context.Background(), slog.LevelWarn, message, attrs...) //nolint:sloglint // it is a constant of the caller
}

// HandedOut publishes that an answer about a key may be kept until then. Call it before the
// key is looked up. It reports false if the slot was lost: then the answer must not be kept.
func (r *Registry) HandedOut(until time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	if r.held && !until.After(r.handed) {
		return true // the loop checks the slot, and publishes it again in the next one
	}
	next := until.Add(handedAtOnce).Truncate(handedAtOnce)
	if r.slot.HandedOut(next) {
		r.handed = next
		return true
	}
	r.held = false
	r.renewSlot()
	return false
}

// follow is the loop: it looks when the epoch moves, lets leases end, and keeps the slot.
func (r *Registry) follow() {
	for {
		timer := time.NewTimer(r.pause())
		select {
		case <-r.done:
			timer.Stop()
			return
		case <-r.wake:
		case <-timer.C:
		}
		timer.Stop()
		if r.tend() {
			r.join()
		}
		r.describe()
	}
}

// pause is how long the loop may sleep.
func (r *Registry) pause() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.verifiers) > 0 || r.followers > 0 {
		return tick
	}
	if unknown := r.unknownUntil - r.elapsed(); unknown > 0 {
		return min(unknown, slotEvery)
	}
	return slotEvery
}

// tend publishes the floor if a lease ended, and reports whether to look.
func (r *Registry) tend() bool {
	epoch := r.feed.Epoch()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire()
	now := r.elapsed()
	if r.floor() != r.published || now-r.checked >= slotEvery {
		r.publish()
	}
	if len(r.verifiers) == 0 && r.followers == 0 || r.looking != nil {
		return false
	}
	if r.covers(r.last, epoch, now) {
		return false
	}
	failed := r.last == nil || r.last.began != r.tried
	return !failed || r.tried == 0 || now-r.tried >= retryLook
}

// wakeUp has the loop compare the epoch at once, and every tick from then on.
func (r *Registry) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Position looks at the store and returns how far it has come. What is read from the store
// after the call is from this position or a later one.
func (r *Registry) Position(ctx context.Context) (protocol.Position, error) {
	if err := r.fresh(ctx); err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.position, nil
}

// Place is where a stream of changes stands. The zero Place is before everything.
type Place struct {
	Era      string
	Position protocol.Position
}

// News is what a stream of changes tells next.
type News struct {
	Place             // after the changes
	IDs      []string // of the keys that changed; nil if they cannot be named one by one, or are too many
	Imported bool
}

// Follow returns what is new once the registry has left the place since.
func (r *Registry) Follow(ctx context.Context, since Place) (News, error) {
	r.mu.Lock()
	r.followers++
	r.mu.Unlock()
	r.wakeUp()
	defer func() {
		r.mu.Lock()
		r.followers--
		r.mu.Unlock()
	}()
	for {
		r.mu.Lock()
		news, some := r.news(since)
		moved, closed := r.moved, r.closed
		r.mu.Unlock()
		switch {
		case closed:
			return News{}, ErrClosed
		case some:
			return news, nil
		}
		select {
		case <-moved:
		case <-r.done:
		case <-ctx.Done():
			return News{}, context.Cause(ctx)
		}
	}
}

// news reports false while there is none. It names keys only within one era and generation, and
// only if it can name all of them: a change that is not about one key has no id.
func (r *Registry) news(since Place) (n News, some bool) {
	n = News{Place: Place{r.era, r.position}, Imported: r.imported}
	if n.Position == 0 || n.Place == since {
		return n, false
	}
	if n.Era != since.Era || n.Position.Generation() != since.Position.Generation() {
		return n, true
	}
	if ids, known := r.history.since(since.Position); known && len(ids) <= protocol.MaxTags && !slices.Contains(ids, "") {
		n.IDs = ids
	}
	return n, true
}
