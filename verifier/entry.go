package verifier

import (
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier/internal/siphash"
)

// cell is what this process remembers of one key. It outlives its entry: when the key
// changes, the entry is removed, but the used part of the rate limit and the counts stay.
type cell struct {
	entry    atomic.Pointer[entry] // nil: ask the source
	found    atomic.Bool           // a check found it since cells last looked for one to remove
	bucket   bucket
	requests bucket // for requests that carry calls
	tally    tally  // with the key's id

	// Fills a cache line, so that cores that check different keys do not wait for each other.
	_ [(cacheLine - (32+unsafe.Sizeof(tally{}))%cacheLine) % cacheLine]byte
}

const cacheLine = 64

// entry is what is remembered of a key as it was read, sealed and whole, with what was proved
// about it. It is immutable but for proofs. The record itself is not kept: most of it is for
// those who administer keys.
type entry struct {
	known    Known
	policy   *policy
	identity *keys.Identity // nil if none can be made of it; a revoked key is still refused as revoked
	version  int64
	expires  time.Time             // zero means never
	dead     keys.Code             // revoked or disabled; else empty
	proofs   atomic.Pointer[proof] // the newest
}

// proof notes that a token with this sum is one of the key's secrets. Comparing it costs a
// fraction of the HMAC that found it out. It is as good: the sums are those of a secret hash
// function of this process, so only the token itself makes a proof match, and neither sums
// nor function leave the process.
type proof struct {
	sum   siphash.Sum
	next  *proof // of the key's other secret
	terms terms
	slot  *slot // where its use is noted
}

// newEntry is an entry that shares nothing with others.
func newEntry(k *keys.Key) *entry { return entryOf(k, newPolicy(k)) }

// entryOf is the entry of k, whose policy is p.
func entryOf(k *keys.Key, p *policy) *entry {
	e := &entry{policy: p, version: k.Version, expires: k.ExpiresAt}
	e.known = Known{ID: k.ID, RevokedAt: k.RevokedAt, Secrets: k.Secrets, entry: e}
	if p.flaw == nil {
		e.identity, _ = keys.NewIdentityLike(k, p.identity) // its scopes are those of p, which compile
	}
	switch {
	case !k.RevokedAt.IsZero():
		e.dead = keys.CodeRevoked
	case !k.DisabledAt.IsZero():
		e.dead = keys.CodeDisabled
	}
	return e
}

// terms are those of the key's secret with that number; false if it has none.
func (e *entry) terms(secret int64) (terms, bool) {
	for p := e.proofs.Load(); p != nil; p = p.next {
		if p.terms.secret == secret {
			return p.terms, true
		}
	}
	if s := e.known.Secret(secret); s != nil {
		return termsOf(e, s), true
	}
	return terms{}, false
}

// proved returns the proof that a token of this sum is a secret of the key, or nil.
func (e *entry) proved(sum *siphash.Sum) *proof {
	p := e.proofs.Load()
	for p != nil && !p.sum.Equal(sum) {
		p = p.next
	}
	return p
}

// note remembers that a token of this sum was proved to be the secret. A key has two
// secrets at the most, so the list stays short.
func (e *entry) note(secret *keys.KeySecret, sum *siphash.Sum, t *tally) *proof {
	made := &proof{sum: *sum, terms: termsOf(e, secret), slot: t.slot(secret.Number)}
	for {
		if known := e.proved(sum); known != nil { // or the list would grow with each time
			return known
		}
		made.next = e.proofs.Load()
		if e.proofs.CompareAndSwap(made.next, made) {
			return made
		}
	}
}
