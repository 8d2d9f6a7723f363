package verifier

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// How many kinds of refusal are counted separately in one minute: maxProved with a proved
// key, and maxUnproved without one, which every client can cause with invented keys. Further
// kinds are counted together by their code, without key and source.
const (
	maxProved   = 256
	maxUnproved = 64
	maxWaiting  = 4 * (maxProved + maxUnproved) // rows that could not be written yet
)

// denials samples refusals for operators: how often in each minute each kind occurred. It
// keeps some hundred numbers, however many requests are refused.
type denials struct {
	source writer
	clock  *clock
	within func(after time.Duration) // plans a write of the counts

	open atomic.Pointer[sample] // of this minute, if a write is planned: such refusals are counted without a lock
	junk atomic.Pointer[junk]   // the last malformed text, which must cost almost nothing

	mu       sync.Mutex // guards what follows
	minute   time.Time
	sample   *sample // of minute
	unproved int
	proved   int
	waiting  []usage.Denial // of minutes that are over
	planned  bool           // a write is planned
	closed   bool
}

// kind has the fields in which two refusals must agree to be counted together.
type kind struct {
	code     keys.Code
	keyID    string
	proved   bool
	source   netip.Prefix
	audience string
	scope    string
	offered  string
}

type denied struct {
	kind
	agent string
	calls atomic.Int64
	next  *denied // of the same key
}

// NoteDenial samples a refusal of a guard. [Verifier.Authenticate] does so for its own. It
// never fails and decides nothing.
func (v *Verifier) NoteDenial(d keys.Decision, call Call) { v.ledger.denied(d, &call) }

// denied samples d, and returns it.
func (l *ledger) denied(d keys.Decision, call *Call) keys.Decision {
	k := kind{
		code: d.Code, keyID: d.KeyID, proved: d.Proved(),
		source: usage.SourceOf(call.ClientIP), audience: call.Audience,
	}
	if d.Lacks != nil {
		k.scope, k.offered = scopeNoted(d.Lacks.Required), strings.Join(d.Lacks.Offered, " ")
	}
	l.denials.note(&k, call.Agent)
	return d
}

// scopeNoted is what is stored of the required scopes: [usage.OtherScopes] if one of them is
// unfit or all are too long.
func scopeNoted(required []string) string {
	if slices.ContainsFunc(required, unfitToKeep) {
		return usage.OtherScopes
	}
	if text := strings.Join(required, " "); len(text) <= maxScopeText {
		return text
	}
	return usage.OtherScopes
}

// junk is where malformed text from one address is counted.
type junk struct {
	ip       netip.Addr
	audience string
	counted  *denied
}

// malformed samples a refusal of malformed text, as denied does for others.
func (l *ledger) malformed(call *Call) (d keys.Decision) {
	d.Code = keys.CodeMalformed
	if j := l.denials.junk.Load(); j != nil && j.ip == call.ClientIP && j.audience == call.Audience {
		j.counted.calls.Add(1)
		return d
	}
	one := l.denials.note(&kind{code: d.Code, source: usage.SourceOf(call.ClientIP), audience: call.Audience}, call.Agent)
	if one != nil {
		l.denials.remember(&junk{call.ClientIP, strings.Clone(call.Audience), one})
	}
	return d
}

// remember has the next malformed text from that address counted at once, unless the counter was
// written in between: nothing would plan another write.
func (n *denials) remember(j *junk) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.planned && n.sample.find(&j.counted.kind, n.sample.from) == j.counted {
		n.junk.Store(j)
	}
}

// note counts a refusal and returns its counter, or nil after close.
func (n *denials) note(k *kind, agent string) *denied {
	now := n.clock.moment().wall
	if one := n.open.Load().find(k, now); one != nil {
		one.calls.Add(1)
		return one
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	if minute := time.Unix(0, now).UTC().Truncate(time.Minute); !minute.Equal(n.minute) {
		n.turn(minute)
	}
	one := n.kind(k, agent)
	one.calls.Add(1)
	n.open.Store(n.sample)
	if !n.planned {
		n.planned = true
		n.within(flushEvery)
	}
	return one
}

// turn begins a minute.
func (n *denials) turn(minute time.Time) {
	n.collect()
	n.minute, n.sample, n.unproved, n.proved = minute, &sample{from: minute.UnixNano()}, 0, 0
}

// kind returns k's counter, creating it, or the overflow counter if full.
func (n *denials) kind(k *kind, agent string) *denied {
	if one := n.sample.find(k, n.sample.from); one != nil {
		return one
	}
	if k.scope != "" && k.scope != usage.OtherScopes && n.sample.scopesOf(k.keyID) >= maxDenied {
		other := *k
		other.scope = usage.OtherScopes
		return n.kind(&other, agent)
	}
	full := !k.proved && n.unproved >= maxUnproved || k.proved && n.proved >= maxProved
	if full {
		k, agent = &kind{code: k.code, proved: k.proved}, ""
		if one := n.sample.exactly(k); one != nil {
			return one
		}
	}
	one := &denied{kind: *k, agent: usage.AgentOf(agent)}
	one.keyID, one.audience, one.scope = strings.Clone(k.keyID), strings.Clone(k.audience), strings.Clone(k.scope) // or the token, or a message, would stay in memory with it
	n.sample = n.sample.with(one, full)
	switch {
	case full:
	case k.proved:
		n.proved++
	default:
		n.unproved++
	}
	return one
}

// collect moves the counts to waiting. A refusal that another goroutine counts without the lock
// at that moment may be lost: one of many.
func (n *denials) collect() {
	n.open.Store(nil)
	n.junk.Store(nil)
	for one := range n.sample.all() {
		calls := one.calls.Swap(0)
		if calls == 0 || len(n.waiting) >= maxWaiting {
			continue
		}
		n.waiting = append(n.waiting, usage.Denial{
			Minute: n.minute, Code: one.code, KeyID: one.keyID, Proved: one.proved,
			Source: one.source, Audience: one.audience, Scope: one.scope, Offered: one.offered, Agent: one.agent, Calls: calls,
		})
	}
}

// write writes all that waits. After a failure it is kept for the next write.
func (n *denials) write() error {
	n.mu.Lock()
	n.collect()
	list := n.waiting
	n.waiting, n.planned = nil, false
	n.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	kept := list // even if the store panics
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.waiting = append(kept, n.waiting...)
		n.waiting = n.waiting[:min(len(n.waiting), maxWaiting)]
	}()
	err := n.source.AddDenials(ctx, list)
	if err == nil {
		kept = nil
	}
	return err
}

// close stops the sampling; what waits can still be written.
func (n *denials) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
}
