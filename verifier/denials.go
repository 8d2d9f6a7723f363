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
	clock  func() time.Time
	within func(after time.Duration) // plans a write of the counts

	last atomic.Pointer[denied] // the last one counted, so that a flood of one kind takes no lock
	junk atomic.Pointer[junk]   // the last malformed text, which must cost almost nothing

	mu       sync.Mutex // guards what follows
	minute   time.Time
	kinds    map[kind]*denied
	unproved int
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
	l.denials.note(k, call.Agent)
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
	one := l.denials.note(kind{code: d.Code, source: usage.SourceOf(call.ClientIP), audience: call.Audience}, call.Agent)
	if one != nil {
		l.denials.junk.Store(&junk{call.ClientIP, strings.Clone(call.Audience), one})
	}
	return d
}

// note counts a refusal and returns its counter, or nil after close.
func (n *denials) note(k kind, agent string) *denied {
	if last := n.last.Load(); last != nil && last.kind == k {
		last.calls.Add(1)
		return last
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	now := n.clock()
	if minute := now.UTC().Truncate(time.Minute); !minute.Equal(n.minute) {
		n.turn(minute)
	}
	one := n.kind(k, agent)
	one.calls.Add(1)
	n.last.Store(one)
	if !n.planned {
		n.planned = true
		n.within(flushEvery)
	}
	return one
}

// turn begins a minute.
func (n *denials) turn(minute time.Time) {
	n.collect()
	n.minute, n.kinds, n.unproved = minute, map[kind]*denied{}, 0
}

// kind returns k's counter, creating it, or the overflow counter if full.
func (n *denials) kind(k kind, agent string) *denied {
	if one := n.kinds[k]; one != nil {
		return one
	}
	if k.scope != "" && k.scope != usage.OtherScopes && n.scopesOf(k.keyID) >= maxDenied {
		k.scope = usage.OtherScopes
		return n.kind(k, agent)
	}
	full := !k.proved && n.unproved >= maxUnproved || k.proved && len(n.kinds)-n.unproved >= maxProved
	if full {
		k = kind{code: k.code, proved: k.proved}
		agent = ""
		if one := n.kinds[k]; one != nil {
			return one
		}
	}
	k.keyID, k.audience, k.scope = strings.Clone(k.keyID), strings.Clone(k.audience), strings.Clone(k.scope) // or the token, or a message, would stay in memory with it
	one := &denied{kind: k, agent: usage.AgentOf(agent)}
	n.kinds[k] = one
	if !k.proved && !full {
		n.unproved++
	}
	return one
}

// scopesOf counts the scopes of a key that are counted separately: a caller without any
// scope can still name every tool.
func (n *denials) scopesOf(keyID string) (count int) {
	for k := range n.kinds {
		if k.keyID == keyID && k.scope != "" {
			count++
		}
	}
	return count
}

// collect moves the counts to waiting. A refusal that another goroutine counts through last
// at that moment may be lost: one of many.
func (n *denials) collect() {
	n.last.Store(nil)
	n.junk.Store(nil)
	for _, one := range n.kinds {
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
