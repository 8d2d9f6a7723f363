package leases

import (
	"sort"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
)

// history is which keys changed lately, oldest first. The feed tells only the position after
// all changes of a look, so an entry may have a later position than its change. A verifier then
// drops a key once more than it has to.
type history struct {
	from    protocol.Position // all changes after this one are there
	entries []changed
}

type changed struct {
	at protocol.Position
	id string
}

// reset begins a new history.
func (h *history) reset(from protocol.Position) { h.from, h.entries = from, nil }

// add notes what a look found.
func (h *history) add(at protocol.Position, ids []string) {
	for _, id := range ids {
		h.entries = append(h.entries, changed{at, id})
	}
	if extra := len(h.entries) - protocol.MaxDrop; extra > 0 {
		h.from = h.entries[extra-1].at
		h.entries = append(h.entries[:0], h.entries[extra:]...)
	}
}

// since returns the ids of the keys that changed after p, each once. It reports false if the
// history does not go back to p.
func (h *history) since(p protocol.Position) ([]string, bool) {
	if p < h.from {
		return nil, false
	}
	first := sort.Search(len(h.entries), func(i int) bool { return h.entries[i].at > p })
	rest := h.entries[first:]
	if len(rest) == 0 {
		return nil, true
	}
	seen, ids := make(map[string]struct{}, len(rest)), make([]string, 0, len(rest))
	for _, c := range rest {
		if _, twice := seen[c.id]; !twice {
			seen[c.id] = struct{}{}
			ids = append(ids, c.id)
		}
	}
	return ids, true
}
