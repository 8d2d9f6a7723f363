package verifier

import (
	"net/netip"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/verifier/internal/siphash"
)

const (
	// maxSources is how many addresses are told apart. When more come, the longest unused
	// ones start with a full allowance: a full table refuses no caller.
	maxSources = 65_536
	// maxUnknown is how many unknown tokens are remembered.
	maxUnknown = 65_536
)

// defaultStrangers is how often one address may ask for unknown keys: 12,000 a minute,
// 1,000 at once. That keeps a store busy for a hundredth of the time. To allow less
// would protect it no better, and shut out the good keys that are not remembered yet
// and come from the same address, as all do behind a proxy that is not trusted.
func defaultStrangers() keys.RateLimit {
	return keys.RateLimit{Count: 12_000, Window: time.Minute, Burst: 1_000}
}

// slowGuesses is how often one address may cause a slow hash that does not match: it costs
// a hundred thousand times as much as an unknown key.
func slowGuesses() keys.RateLimit {
	return keys.RateLimit{Count: 30, Window: time.Minute, Burst: 10}
}

// door limits only questions to the source: remembered keys and remembered unknown tokens are
// answered without one.
type door struct {
	unknown unknown
	asked   accounts // limits questions about unknown keys
	guessed accounts // limits slow hashes that did not fit
}

func newDoor(strangers keys.RateLimit) (d door, err error) {
	if strangers.IsZero() {
		strangers = defaultStrangers()
	}
	if d.unknown, err = newUnknown(); err == nil {
		d.asked, err = newAccounts(strangers)
	}
	if err == nil {
		d.guessed, err = newAccounts(slowGuesses())
	}
	return d, err
}

// refuses returns the zero Decision if the source may be asked for c's token. Existing keys
// do not count against the limit, however many callers ask at once.
func (o *door) refuses(c *check, from address) keys.Decision {
	if !c.alone && o.unknown.has(c.sum, c.generation) {
		return notFound(c.named())
	}
	if wait := o.asked.wait(from, c.at); wait > 0 && !c.exists() {
		return keys.Decision{Code: keys.CodeRateLimited, KeyID: c.named(), RetryAfter: wait}
	}
	return keys.Decision{}
}

// accounts limit what calls from one address may cost.
type accounts struct {
	limit   limit
	buckets *otter.Cache[address, *bucket]
}

// address is where a call comes from. Calls without a known address share one.
type address struct {
	caller string // of the verification API; empty at a guard
	net    netip.Prefix
}

// addressOf tells callers of the verification API apart too.
func addressOf(call *Call) address { return address{call.Caller, usage.SourceOf(call.ClientIP)} }

func newAccounts(each keys.RateLimit) (accounts, error) {
	if err := each.Validate(); err != nil {
		return accounts{}, err
	}
	buckets, err := otter.New(&otter.Options[address, *bucket]{MaximumSize: maxSources, Executor: atOnce})
	return accounts{newLimit(each), buckets}, err
}

func (a *accounts) of(from address) *bucket {
	one, ok := a.buckets.GetIfPresent(from)
	if !ok {
		one, _ = a.buckets.SetIfAbsent(from, &bucket{})
	}
	return one
}

// wait is how long a call from that address has to wait; it charges nothing.
func (a *accounts) wait(from address, at time.Duration) time.Duration {
	return a.of(from).wait(&a.limit, at)
}

func (a *accounts) charge(from address, at time.Duration) { a.of(from).spend(&a.limit, 1, at) }

// unknown remembers whole tokens that no key has, so that a client that repeats a wrong one
// does not cause reads of the source. It remembers tokens, never ids: junk with a known id
// must not lock out the key's owner. A change to any key drops all of them, because the
// missing key may have been issued.
type unknown struct {
	tokens *otter.Cache[siphash.Sum, uint64]
}

func newUnknown() (unknown, error) {
	tokens, err := otter.New(&otter.Options[siphash.Sum, uint64]{MaximumSize: maxUnknown, Executor: atOnce})
	return unknown{tokens: tokens}, err
}

// has reports whether the token was unknown in this generation, which moves with every
// change.
func (u *unknown) has(token siphash.Sum, generation uint64) bool {
	g, ok := u.tokens.GetIfPresent(token)
	return ok && g == generation
}

// add notes an unknown token. The generation was read before the source was asked.
func (u *unknown) add(token siphash.Sum, generation uint64) { u.tokens.Set(token, generation) }
