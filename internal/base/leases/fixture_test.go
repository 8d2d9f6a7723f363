package leases_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/leases"
	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// memory is a slot in memory. Committers read it as they read a slot of a key store.
type memory struct {
	mu sync.Mutex
	shown
}

// shown is what a slot holds.
type shown struct {
	wasFree  bool
	lost     bool // a committer took the nonce out
	refuses  bool // there is no free slot
	floor    uint64
	handed   time.Time
	stored   int // calls of HandedOut
	list     string
	renewals int
	closed   bool
	free     bool
}

func (m *memory) WasFree() bool { return m.wasFree }

func (m *memory) Publish(floor uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.lost {
		m.floor = floor
	}
	return !m.lost
}

func (m *memory) HandedOut(until time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stored++
	if !m.lost && until.After(m.handed) {
		m.handed = until
	}
	return !m.lost
}

func (m *memory) Describe(list []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = string(list)
	return nil
}

func (m *memory) Renew() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuses {
		return errors.New("all slots are taken")
	}
	m.lost, m.floor, m.handed = false, leases.FloorUnknown, time.Time{}
	m.renewals++
	return nil
}

func (m *memory) Close(free bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.free = true, free
	return nil
}

// now is what the slot holds now.
func (m *memory) now() shown {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shown
}

// see is what a committer sees.
func (m *memory) see() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.floor
}

func (m *memory) lose(refuses bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost, m.refuses = true, refuses
}

// changing is a feed whose changes a test makes.
type changing struct {
	mu         sync.Mutex
	epoch      uint64
	generation uint64
	ids        []string // of all changes of the generation
	lost       bool     // in the next answer
	err        error
	looks      int
	onLook     func() // while a look reads
}

func newFeed() *changing { return &changing{generation: 1, ids: []string{"first"}} }

func (f *changing) word() uint64 { return f.generation<<48 | uint64(len(f.ids)) }

func (f *changing) at() protocol.Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	return protocol.Position(f.word())
}

func (f *changing) looked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.looks
}

// commit changes keys; announce moves the epoch.
func (f *changing) commit(ids ...string) protocol.Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids = append(f.ids, ids...)
	return protocol.Position(f.word())
}

func (f *changing) announce() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epoch++
}

func (f *changing) change(ids ...string) protocol.Position {
	defer f.announce()
	return f.commit(ids...)
}

func (f *changing) restore() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.generation++
	f.epoch++
}

// lose makes the next look find that changes are missing.
func (f *changing) lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = true
	f.epoch++
}

func (f *changing) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
	f.epoch++
}

func (f *changing) Epoch() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.epoch
}

func (f *changing) Wait(ctx context.Context, epoch uint64) { feed.Poll(ctx, f.Epoch, epoch) }

func (f *changing) Bounds() feed.Bounds {
	return feed.Bounds{Lease: time.Second, Look: 250 * time.Millisecond}
}

func (f *changing) Changes(_ context.Context, since feed.Position) (feed.Changes, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.onLook != nil {
		f.onLook()
	}
	f.looks++
	if f.err != nil {
		return feed.Changes{}, f.err
	}
	now := feed.Changes{Next: feed.Position{Generation: string(rune('a' + f.generation)), Seq: int64(len(f.ids)), Word: f.word()}}
	switch {
	case since == feed.Position{}:
	case since.Generation != now.Next.Generation || f.lost:
		now.Lost = true
	default:
		now.IDs = append(now.IDs, f.ids[since.Seq:]...)
	}
	f.lost = false
	return now, nil
}

// fixture is a registry over a feed and a slot.
type fixture struct {
	*leases.Registry
	feed *changing
	slot *memory
	log  *strings.Builder
}

// start begins the registry, and waits until it knows all leases. It must run in a bubble.
func start(t *testing.T) *fixture {
	t.Helper()
	f := begin(t)
	time.Sleep(feed.LongestLease + 10*time.Millisecond)
	return f
}

func begin(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{feed: newFeed(), slot: &memory{}, log: &strings.Builder{}}
	f.Registry = leases.New(f.feed, f.slot, &leases.Options{Logger: slog.New(slog.NewTextHandler(f.log, nil))})
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// verifier is one process of a verify key.
type verifier struct {
	f        *fixture
	caller   string
	instance protocol.Instance
	applied  protocol.Position
	era      string
}

func (f *fixture) verifier(caller string) *verifier {
	return &verifier{f: f, caller: caller, instance: protocol.NewInstance()}
}

// ask renews, and applies nothing.
func (v *verifier) ask(t *testing.T) protocol.Granted {
	t.Helper()
	g, err := v.try()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (v *verifier) try() (protocol.Granted, error) {
	return v.f.Renew(context.Background(), leases.Renewal{
		Caller: v.caller, Instance: v.instance, Audience: "weather", Address: "192.0.2.1", Agent: "mcpkeys/1", Applied: v.applied, Era: v.era,
	})
}

// renew renews and applies the answer, twice, as a verifier does when its position moved.
func (v *verifier) renew(t *testing.T) {
	t.Helper()
	for range 2 {
		g := v.ask(t)
		v.applied, v.era = g.Position, g.Era
	}
}
