package verifier

import (
	"net/netip"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/mcpkeys/mcpkeys/keys"
)

// maxSources is how many addresses are told apart. When more come, those that were
// quiet longest start anew: a full table refuses nobody.
const maxSources = 65_536

// DefaultStrangers is how often one address may ask for unknown keys: 12,000 a minute,
// 1,000 at once. That keeps a store busy for a hundredth of the time. To allow less
// would protect it no better, and shut out the good keys that are not remembered yet
// and come from the same address, as all do behind a proxy that nobody named.
func DefaultStrangers() keys.RateLimit {
	return keys.RateLimit{Count: 12_000, Window: time.Minute, Burst: 1_000}
}

// strangers limits, for each source, the looks at the store that found nothing. It
// stands before the store and nowhere else: what is remembered, be it a key or that
// there is none, is answered without it.
type strangers struct {
	limit   keys.RateLimit
	buckets *otter.Cache[source, *bucket]
}

// source is where a call comes from. All whose address is unknown are one.
type source struct {
	caller string // of the verification API; empty at a guard
	net    netip.Prefix
}

func newStrangers(limit keys.RateLimit) (strangers, error) {
	if limit.IsZero() {
		limit = DefaultStrangers()
	}
	if err := limit.Validate(); err != nil {
		return strangers{}, err
	}
	buckets, err := otter.New(&otter.Options[source, *bucket]{MaximumSize: maxSources, Executor: atOnce})
	return strangers{limit, buckets}, err
}

// account is that of where call comes from. A look at the store for a key that may not
// exist waits until there is room in it, and is charged when it found nothing: who
// looks for keys that are there pays nothing, however many look at once.
func (s *strangers) account(call *Call) *bucket {
	from := sourceOf(call)
	account, ok := s.buckets.GetIfPresent(from)
	if !ok {
		account, _ = s.buckets.SetIfAbsent(from, &bucket{})
	}
	return account
}

// sourceOf tells callers of the verification API apart too.
func sourceOf(call *Call) source { return source{call.Caller, keys.SourceOf(call.ClientIP)} }
