package leases

import (
	"bytes"
	"cmp"
	"encoding/json"
	"log/slog"
	"slices"
	"time"
)

// Verifier is a verifier with a lease, for people.
type Verifier struct {
	KeyID     string    `json:"key_id"`
	Instance  string    `json:"instance"` // the short form
	Audience  string    `json:"audience"`
	Address   string    `json:"address"`
	Agent     string    `json:"agent"`
	Since     time.Time `json:"since"`
	Applied   uint64    `json:"applied,string"`
	Behind    bool      `json:"behind"` // it has not applied all changes that this server knows
	LeaseEnds time.Time `json:"lease_ends"`
	Streaming bool      `json:"streaming"`
}

// List returns the verifiers with a lease, by key and time.
func (r *Registry) List() []Verifier {
	r.mu.Lock()
	r.expire()
	now, elapsed := r.now().UTC(), r.elapsed()
	out := make([]Verifier, 0, len(r.verifiers))
	for _, l := range r.verifiers {
		out = append(out, Verifier{
			KeyID: l.caller, Instance: l.instance.Short(), Audience: l.audience, Address: l.address, Agent: l.agent,
			Since: l.since.Truncate(time.Microsecond), Applied: uint64(l.applied), Behind: l.applied < r.position,
			LeaseEnds: now.Add(l.until - elapsed).Truncate(time.Microsecond), Streaming: r.streams[l.who] != nil,
		})
	}
	r.mu.Unlock()
	slices.SortFunc(out, func(a, b Verifier) int {
		return cmp.Or(cmp.Compare(a.KeyID, b.KeyID), a.Since.Compare(b.Since), cmp.Compare(a.Instance, b.Instance))
	})
	return out
}

// maxList is the size of the largest list in a slot, in bytes. Verifiers beyond it are left out.
const maxList = 60_000

// describe stores the list in the slot about once a second while there are verifiers, and once
// when the last one is gone.
func (r *Registry) describe() {
	r.mu.Lock()
	due := r.elapsed() >= r.describeAfter && (len(r.verifiers) > 0 || r.described)
	r.mu.Unlock()
	if !due {
		return
	}
	list := r.List()
	text := render(list)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.describeAfter, r.described = r.elapsed()+listEvery, len(list) > 0
	if !r.held {
		return // the slot may be another server's
	}
	if err := r.slot.Describe(text); err != nil {
		r.warn("the list of verifiers could not be stored for people", slog.Any("error", err))
	}
}

func render(list []Verifier) []byte {
	out := bytes.NewBufferString("[")
	for i := range list {
		one, err := json.Marshal(&list[i])
		if err != nil || out.Len()+len(one)+2 > maxList {
			break
		}
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(one)
	}
	out.WriteByte(']')
	return out.Bytes()
}
