package remote

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// counts delivers uses and denials in numbered messages. Whether a message arrived is not known
// if its answer is lost: it is then sent again, with the same number, before any other, and the
// server counts it once. What was taken from the verifier waits here, so there is at most one
// call's worth of it.
type counts struct {
	source *Source

	mu      sync.Mutex // guards what follows, and keeps messages in order
	n       int64      // of the last message
	waiting []*protocol.Counts
}

// parts splits a list so that no message is too long.
func parts[T any](list []T, most int) (out [][]T) {
	begin, size := 0, 0
	for i := range list {
		text, _ := json.Marshal(list[i]) // texts and numbers
		if i > begin && (i-begin == most || size+len(text) > protocol.MaxMessage/2) {
			out = append(out, list[begin:i])
			begin, size = i, 0
		}
		size += len(text) + 1
	}
	if begin < len(list) {
		out = append(out, list[begin:])
	}
	return out
}

// AddUse implements [verifier.Source]. Uses of keys that were not proved to this process are
// left out: the server would not count them.
func (s *Source) AddUse(ctx context.Context, uses []usage.Use) error {
	list := make([]protocol.Use, 0, len(uses))
	for _, u := range uses {
		if one, ok := s.known.newest(u.KeyID); ok {
			list = append(list, s.useOf(u, one))
		}
	}
	var messages []*protocol.Counts
	for _, round := range rounds(list) {
		for _, part := range parts(round, protocol.MaxUses) {
			messages = append(messages, &protocol.Counts{Uses: part})
		}
	}
	return s.counts.deliver(ctx, messages)
}

// countsAtOnce and lastAtOnce are how much of one key is in one message; the server leaves out more.
const (
	countsAtOnce = 100
	lastAtOnce   = 16
)

// rounds has each key once in a round, because the server refuses a message that names a key
// twice. After a write that failed, list has many uses of a key.
func rounds(list []protocol.Use) (out [][]protocol.Use) {
	type place struct{ round, i int }
	newest := map[string]place{} // of each key
	for _, u := range list {
		for len(u.Counts)+len(u.Last) > 0 {
			at, ok := newest[u.KeyID]
			if ok && fill(&out[at.round][at.i], &u) {
				continue
			}
			if ok {
				at.round++
			}
			if at.round == len(out) {
				out = append(out, nil)
			}
			at.i = len(out[at.round])
			out[at.round] = append(out[at.round], protocol.Use{KeyID: u.KeyID, Secret: u.Secret, Pass: u.Pass})
			newest[u.KeyID] = at
		}
	}
	return out
}

// fill moves from u to part what part has room for, and reports whether that was something.
func fill(part, u *protocol.Use) bool {
	counts, last := min(countsAtOnce-len(part.Counts), len(u.Counts)), min(lastAtOnce-len(part.Last), len(u.Last))
	part.Counts, u.Counts = append(part.Counts, u.Counts[:counts]...), u.Counts[counts:]
	part.Last, u.Last = append(part.Last, u.Last[:last]...), u.Last[last:]
	return counts+last > 0
}

// AddDenials implements [verifier.Source].
func (s *Source) AddDenials(ctx context.Context, denials []usage.Denial) error {
	list := make([]protocol.Denial, 0, len(denials))
	for _, d := range denials {
		list = append(list, s.denialOf(d))
	}
	var messages []*protocol.Counts
	for _, part := range parts(list, protocol.MaxDenials) {
		messages = append(messages, &protocol.Counts{Denials: part})
	}
	return s.counts.deliver(ctx, messages)
}

// deliver sends what waits and then the messages. An error means that none of the messages was
// taken; a message that could not be sent waits for the next call.
func (c *counts) deliver(ctx context.Context, messages []*protocol.Counts) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.send(ctx); err != nil {
		return err
	}
	for _, m := range messages {
		c.n++
		m.N, m.From = c.n, c.source.from()
	}
	c.waiting = messages
	_ = c.send(ctx) // the next call reports it, if it fails again
	return nil
}

// send sends what waits, until one message fails.
func (c *counts) send(ctx context.Context) error {
	for len(c.waiting) > 0 {
		ctx, cancel := c.source.within(ctx, answerWithin)
		err := c.source.server.post(ctx, protocol.PathCounts, c.waiting[0], nil)
		cancel()
		if err != nil && !isFinal(err) {
			return err
		}
		if err != nil {
			c.source.o.Logger.ErrorContext(ctx, "the server refused counts of use, which are lost", slog.Any("error", err))
		}
		c.waiting = c.waiting[1:]
	}
	return nil
}

// isFinal reports whether to send the same message again would be of no use.
func isFinal(err error) bool {
	var refused *StatusError
	return errors.As(err, &refused) && slices.Contains([]int{
		http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
	}, refused.Status)
}

// drain sends what waits for the last time.
func (c *counts) drain() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.send(context.Background())
}

// useOf leaves out secrets that were not proved to this process.
func (s *Source) useOf(u usage.Use, one proved) protocol.Use {
	out := protocol.Use{KeyID: u.KeyID, Secret: one.secret, Pass: one.pass}
	for _, c := range u.Counts {
		out.Counts = append(out.Counts, protocol.Count{Hour: c.Hour, Code: string(c.Code), Scope: c.Scope, Calls: c.Calls})
	}
	for _, l := range u.Last {
		if pass, ok := s.known.pass(u.KeyID, l.Secret); ok {
			out.Last = append(out.Last, protocol.LastUse{Secret: l.Secret, Pass: pass, At: l.At, ClientIP: addressText(l.ClientIP), Agent: l.Agent})
		}
	}
	return out
}

func addressText(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}

func (s *Source) denialOf(d usage.Denial) protocol.Denial {
	out := protocol.Denial{
		Minute: d.Minute, Code: string(d.Code), KeyID: d.KeyID, Audience: d.Audience,
		Scope: d.Scope, Offered: d.Offered, Agent: d.Agent, Calls: d.Calls,
	}
	if d.Source.IsValid() {
		out.Source = d.Source.String()
	}
	if one, ok := s.known.newest(d.KeyID); ok && d.Proved {
		out.Secret, out.Pass = one.secret, &one.pass
	}
	return out
}
