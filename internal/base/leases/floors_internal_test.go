package leases

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys/feed"
)

// The lowest position is that of a plain search, and what is kept is bounded by the leases.
func TestFloors(t *testing.T) {
	var f floors
	var held []protocol.Position
	for i := range 20_000 {
		if len(held) > 50 || len(held) > 0 && rand.IntN(2) == 0 {
			one := rand.IntN(len(held))
			f.remove(held[one])
			held = append(held[:one], held[one+1:]...)
		} else {
			p := protocol.Position(rand.IntN(30) + 1)
			if i%3 == 0 {
				p = protocol.Position(i + 1)
			}
			f.add(p)
			held = append(held, p)
		}
		want := protocol.Position(0)
		for _, p := range held {
			if want == 0 || p < want {
				want = p
			}
		}
		if got, some := f.lowest(); got != want || some != (len(held) > 0) {
			t.Fatalf("step %d: got %d, %v, want %d", i, got, some, want)
		}
		if len(f.heap) > 2*len(held)+minHeap || len(f.count) != len(f.heap) {
			t.Fatalf("step %d: %d leases, %d positions kept, %d counted", i, len(held), len(f.heap), len(f.count))
		}
	}
}

func TestHistory(t *testing.T) {
	var h history
	h.reset(10)
	h.add(12, []string{"a", "b"})
	h.add(13, []string{"a"})
	for since, want := range map[protocol.Position]string{10: "[a b] true", 11: "[a b] true", 12: "[a] true", 13: "[] true", 9: "[] false"} {
		ids, known := h.since(since)
		if got := fmt.Sprint(ids, known); got != want {
			t.Errorf("since %d: got %s, want %s", since, got, want)
		}
	}
	for i := range protocol.MaxDrop {
		h.add(protocol.Position(100+i), []string{"c"})
	}
	if _, known := h.since(12); known {
		t.Error("since 12: known, although an entry was dropped")
	}
	if _, known := h.since(13); !known {
		t.Error("since 13: unknown, although all later entries are there")
	}
}

// steady is a feed without changes.
type steady struct{}

func (steady) Epoch() uint64                      { return 1 }
func (steady) Wait(ctx context.Context, _ uint64) { <-ctx.Done() }

func (steady) Bounds() feed.Bounds {
	return feed.Bounds{Lease: time.Second, Look: 250 * time.Millisecond}
}

func (steady) Changes(context.Context, feed.Position) (feed.Changes, error) {
	return feed.Changes{Next: feed.Position{Generation: "a", Word: 1<<48 | 7}}, nil
}

type own struct{ NoSlot }

func (own) Publish(uint64) bool { return true }

// Each of 1,000 verifiers renews its lease twice a second: 2,000 of these a second.
func BenchmarkRenew1000Verifiers(b *testing.B) {
	r := New(steady{}, own{}, nil)
	defer func() { _ = r.Close() }()
	all := make([]Renewal, 1000)
	for i := range all {
		all[i] = Renewal{Caller: fmt.Sprintf("caller%d", i%10), Instance: protocol.NewInstance(), Audience: "weather", Applied: protocol.Position(1<<48 | i%8)}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := r.Renew(b.Context(), all[i%len(all)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
