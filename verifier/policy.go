package verifier

import (
	"hash/maphash"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"weak"

	"github.com/mcpkeys/mcpkeys/keys"
)

// policy is what many keys have in common, ready to be asked by each check. It is immutable, and
// the entries of all keys that have it share it.
type policy struct {
	kind     keys.Kind
	scopes   []string // as they were granted
	audience []string // empty: every server
	ips      []netip.Prefix
	keyLife  int64
	limit    limit
	requests limit // of requests that carry calls

	identity *keys.Identity // of the first key that had it; nil if none can be made
	flaw     error          // why identity is nil
}

func newPolicy(k *keys.Key) *policy {
	p := &policy{
		kind: k.Kind, scopes: slices.Clone(k.Scopes), audience: slices.Clone(k.Audience), ips: slices.Clone(k.AllowedIPs),
		keyLife: int64(k.KeyLife()),
	}
	if p.limit.RateLimit = k.RateLimit; !k.RateLimit.IsZero() {
		p.limit, p.requests = newLimit(k.RateLimit), newLimit(k.RateLimit.Requests())
	}
	p.identity, p.flaw = keys.NewIdentity(k)
	return p
}

// isOf reports whether p is what newPolicy would make of k.
func (p *policy) isOf(k *keys.Key) bool {
	return p.kind == k.Kind && p.limit.RateLimit == k.RateLimit && p.keyLife == int64(k.KeyLife()) &&
		slices.Equal(p.scopes, k.Scopes) && slices.Equal(p.audience, k.Audience) && slices.Equal(p.ips, k.AllowedIPs)
}

// serves: the audience of an admin key limits what it administers, and not where it is valid.
func (p *policy) serves(server string) bool {
	return len(p.audience) == 0 || p.kind == keys.KindAdmin || slices.Contains(p.audience, server)
}

// allows: the client address may not be known, or be IPv4 in the form of IPv6.
func (p *policy) allows(ip netip.Addr) bool {
	if len(p.ips) == 0 {
		return true
	}
	ip = ip.Unmap().WithZone("")
	return slices.ContainsFunc(p.ips, func(one netip.Prefix) bool { return one.Contains(ip) })
}

// policies finds the policy of a key among the policies in use. Only entries keep a policy in
// memory, so there are never more policies than entries.
//
// Nothing here leads to a policy or to a verifier, or no policy would ever be collected.
type policies struct {
	seed maphash.Seed

	mu     sync.Mutex
	byHash map[uint64]weak.Pointer[policy]
}

func newPolicies() *policies {
	return &policies{seed: maphash.MakeSeed(), byHash: map[uint64]weak.Pointer[policy]{}}
}

// of is the policy of k. The hash only finds it: what it finds is compared, so keys whose hashes
// are equal by chance share nothing.
func (s *policies) of(k *keys.Key) *policy {
	hash := s.hash(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.byHash[hash].Value(); p != nil && p.isOf(k) {
		return p
	}
	p := newPolicy(k)
	s.byHash[hash] = weak.Make(p)
	runtime.AddCleanup(p, s.collected, hash)
	return p
}

// collected is called after a policy with that hash was collected. Another one may have it now.
func (s *policies) collected(hash uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byHash[hash].Value() == nil {
		delete(s.byHash, hash)
	}
}

func (s *policies) hash(k *keys.Key) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	add := func(text string) {
		_, _ = h.WriteString(text) // never fails
		_ = h.WriteByte(0)
	}
	add(string(k.Kind))
	for _, scope := range k.Scopes {
		add(scope)
	}
	add("")
	for _, server := range k.Audience {
		add(server)
	}
	for _, ip := range k.AllowedIPs {
		maphash.WriteComparable(&h, ip)
	}
	maphash.WriteComparable(&h, k.RateLimit)
	return h.Sum64()
}
