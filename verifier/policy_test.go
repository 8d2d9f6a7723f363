package verifier

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// otherPolicies are changes after which a key must not share a policy.
var otherPolicies = map[string]func(*keys.Key){
	"kind":                 func(k *keys.Key) { k.Kind = keys.KindAdmin },
	"scope":                func(k *keys.Key) { k.Scopes = []string{"tools:get_*", "tools:b"} },
	"fewer scopes":         func(k *keys.Key) { k.Scopes = k.Scopes[:1] },
	"order of scopes":      func(k *keys.Key) { k.Scopes = []string{"tools:a", "tools:get_*"} },
	"server":               func(k *keys.Key) { k.Audience = []string{"b"} },
	"no server":            func(k *keys.Key) { k.Audience = nil },
	"a scope as a server":  func(k *keys.Key) { k.Scopes, k.Audience = k.Scopes[:1], []string{"tools:a", "a"} },
	"addresses":            func(k *keys.Key) { k.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/25")} },
	"no addresses":         func(k *keys.Key) { k.AllowedIPs = nil },
	"rate limit":           func(k *keys.Key) { k.RateLimit.Count++ },
	"no rate limit":        func(k *keys.Key) { k.RateLimit = keys.RateLimit{} },
	"life of keys it made": func(k *keys.Key) { k.MaxKeyLife = time.Hour },
}

func policyKey() *keys.Key {
	return &keys.Key{
		ID: "abcdefghijkl", Kind: keys.KindKey, Name: "ci", Scopes: []string{"tools:get_*", "tools:a"}, Audience: []string{"a"},
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, RateLimit: keys.RateLimit{Count: 3, Window: time.Second, Burst: 5},
	}
}

// Keys that grant the same share one policy, whatever else they are. Keys that differ in any part of
// it share none, also if their hashes are equal by chance.
func TestPoliciesAreShared(t *testing.T) {
	all, k := newPolicies(), policyKey()
	p := all.of(k)
	like := policyKey()
	like.ID, like.Name, like.ExpiresAt, like.RevokedAt = "mnopqrstuvwx", "other", time.Unix(1, 0), time.Unix(1, 0)
	if all.of(like) != p {
		t.Error("a key with the same grants has another policy")
	}
	for name, change := range otherPolicies {
		other := policyKey()
		change(other)
		if all.of(other) == p {
			t.Errorf("another %s: got the same policy", name)
		}
		all.byHash[all.hash(other)] = all.byHash[all.hash(k)]
		if all.of(other) == p {
			t.Errorf("another %s, with the same hash: got the same policy", name)
		}
	}
	runtime.KeepAlive(p)
}

// An entry that shares its policy with others has the identity that its key alone would have.
func TestSharedIdentities(t *testing.T) {
	all, now := newPolicies(), time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	seen, shared := map[*policy]bool{}, 0
	for range 20_000 {
		k := anyKey(now)
		k.Name, k.Owner, k.Scopes = one([]string{"a", "b"}), one([]string{"", "o"}), someOf([]string{"tools:a", "tools:get_*", "*", "not a scope"})
		k.RateLimit = one([]keys.RateLimit{{}, {Count: 1, Window: time.Second, Burst: 2}})
		k.MaxKeyLife = time.Duration(rand.IntN(2)) * time.Hour
		e := entryOf(k, all.of(k))
		want, err := keys.NewIdentity(k)
		if (e.identity == nil) != (err != nil) || (e.policy.flaw == nil) != (err == nil) || err == nil && !reflect.DeepEqual(e.identity, want) {
			t.Fatalf("got %+v and %v, want %+v and %v for\n%+v", e.identity, e.policy.flaw, want, err, k)
		}
		if seen[e.policy] {
			shared++
		}
		seen[e.policy] = true
	}
	if shared < 100 {
		t.Errorf("%d entries shared a policy, too few to show anything", shared)
	}
}

// A policy that no entry has any more leaves the table.
func TestPoliciesEnd(t *testing.T) {
	all := newPolicies()
	stays := entryOf(policyKey(), all.of(policyKey()))
	for i := range 100 {
		k := policyKey()
		k.RateLimit.Count += 1 + i
		all.of(k)
	}
	size := func() int {
		all.mu.Lock()
		defer all.mu.Unlock()
		return len(all.byHash)
	}
	for deadline := time.Now().Add(time.Minute); size() > 1; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("%d policies are left, want 1", size())
		}
	}
	if all.of(policyKey()) != stays.policy {
		t.Error("the policy of an entry left the table")
	}
}
