package sqlite

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
)

// Which guards confirmed a change, for people. The slots say only how far the last one of each
// server is, so the names are those of the lists that servers write about once a second. Nothing
// is decided by them.

// lists are what the servers in use have written, by their slots.
type lists [slotCount]json.RawMessage

func (c *committer) lists() (out lists) {
	f, err := readSlots(c.database)
	if err != nil {
		return out
	}
	defer f.close()
	for i, nonce := range c.nonces {
		if nonce != slotFree {
			out[i] = readList(f, i, nonce)
		}
	}
	return out
}

// listed is what is read of a guard in a list.
type listed struct {
	KeyID     string    `json:"key_id"`
	Instance  string    `json:"instance"` // the short form
	Audience  string    `json:"audience"`
	Address   string    `json:"address"`
	Applied   uint64    `json:"applied,string"`
	LeaseEnds time.Time `json:"lease_ends"`
}

// valid reports whether a server writes such a row. Another program may have written this one, and
// it is shown to people.
func (l *listed) valid() bool {
	_, err := netip.ParseAddr(l.Address)
	return keys.ValidID(l.KeyID) && len(l.Instance) == 8 && strings.Trim(l.Instance, "0123456789abcdef") == "" &&
		(l.Address == "" || err == nil) && (l.Audience == "" || keys.ValidateAudience(l.Audience) == nil)
}

// names says which guards with a lease confirmed the change, and which did not before their lease
// ended. Before is what the lists said when the change began to wait.
func (c *committer) names(before lists) (confirmed, late []store.Guard) {
	now, after := clock(), c.lists()
	for i := range slotCount {
		known := map[store.Guard]*listed{}
		for _, list := range []json.RawMessage{before[i], after[i]} {
			var rows []listed
			_ = json.Unmarshal(list, &rows) // nil, or not a list: then nothing is known
			for j := range rows {
				if l := &rows[j]; l.valid() && l.LeaseEnds.After(c.since) {
					known[store.Guard{Key: l.KeyID, Instance: l.Instance, Audience: l.Audience, Address: l.Address}] = l
				}
			}
		}
		for guard, l := range known {
			// Of a slot that has reached the change, a list from before says less than the slot.
			if l.Applied >= c.position || c.done[i] && l.LeaseEnds.After(now) {
				confirmed = append(confirmed, guard)
			} else {
				late = append(late, guard)
			}
		}
	}
	slices.SortFunc(confirmed, store.Guard.Compare)
	slices.SortFunc(late, store.Guard.Compare)
	return confirmed, late
}
