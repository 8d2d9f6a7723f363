package verifier_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// stranger is a well-formed token that no key has.
func stranger() string { return keys.NewToken(keys.KindKey).Secret().Reveal() }

func from(ip string) verifier.Call { return verifier.Call{ClientIP: netip.MustParseAddr(ip)} }

func (b *bench) limited(t *testing.T, burst int) *verifier.Verifier {
	t.Helper()
	v, err := verifier.New(local.New(b.reader, nil), &verifier.Options{
		Now:       func() time.Time { return b.now },
		Strangers: keys.RateLimit{Count: burst, Window: time.Minute, Burst: burst},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func wantCode(t *testing.T, v *verifier.Verifier, token string, call verifier.Call, want keys.Code, what string) keys.Decision {
	t.Helper()
	d := v.Authenticate(t.Context(), token, call)
	if d.Code != want {
		t.Errorf("%s: got %v (%v), want %v", what, d.Code, d.Cause, want)
	}
	return d
}

// TestStrangersAreLimited, the attack: keys that do not exist, at full speed, so that
// the store is kept busy. The address that sends them is held back before the store;
// others, and keys that are remembered, are not.
func TestStrangersAreLimited(t *testing.T) {
	b := newBench(t)
	v := b.limited(t, 3)
	_, good := b.issue(t, admin.IssueRequest{Name: "good"})
	_, cold := b.issue(t, admin.IssueRequest{Name: "cold"})
	wantCode(t, v, good, from("192.0.2.1"), keys.CodeValid, "a good key")
	known := stranger()
	wantCode(t, v, known, from("192.0.2.1"), keys.CodeNotFound, "stranger 1")
	wantCode(t, v, stranger(), from("192.0.2.1"), keys.CodeNotFound, "stranger 2")
	wantCode(t, v, stranger(), from("192.0.2.1"), keys.CodeNotFound, "stranger 3")
	reads := b.reader.reads.Load()
	d := wantCode(t, v, stranger(), from("192.0.2.1"), keys.CodeRateLimited, "stranger 4")
	if d.RetryAfter != 20*time.Second || !d.Limit.IsZero() || d.Identity != nil {
		t.Errorf("stranger 4: got retry after %v, limit %v, identity %v; want 20s and nothing else", d.RetryAfter, d.Limit, d.Identity)
	}
	wantCode(t, v, known, from("192.0.2.1"), keys.CodeNotFound, "a stranger that is known to be none")
	wantCode(t, v, good, from("192.0.2.1"), keys.CodeValid, "a remembered key from the same address")
	wantCode(t, v, good[:53]+otherDigit(good[53]), from("192.0.2.1"), keys.CodeMalformed, "a typing error")
	if now := b.reader.reads.Load(); now != reads {
		t.Errorf("%d reads of the store by the limited, want none", now-reads)
	}
	wantCode(t, v, stranger(), from("192.0.2.2"), keys.CodeNotFound, "a stranger from elsewhere")
	wantCode(t, v, cold, from("192.0.2.2"), keys.CodeValid, "a key not yet remembered, from elsewhere")
	b.now = b.now.Add(20 * time.Second)
	wantCode(t, v, stranger(), from("192.0.2.1"), keys.CodeNotFound, "a stranger after the wait")
}

// TestKeysThatExistAreFree: to find keys costs nothing, however many and from however
// few addresses, as after the start of a server behind a proxy.
func TestKeysThatExistAreFree(t *testing.T) {
	b := newBench(t)
	v := b.limited(t, 1)
	for i := range 20 {
		_, token := b.issue(t, admin.IssueRequest{Name: fmt.Sprint("key ", i)})
		wantCode(t, v, token, verifier.Call{}, keys.CodeValid, fmt.Sprint("key ", i))
	}
}

// TestManyLookForOneKey, what happens to a busy server that starts, or whose busiest key
// is edited: all its calls look for the same key at once, and none is a stranger.
func TestManyLookForOneKey(t *testing.T) {
	b := newBench(t)
	v := b.limited(t, 1)
	_, token := b.issue(t, admin.IssueRequest{Name: "busy"})
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { wantCode(t, v, token, verifier.Call{}, keys.CodeValid, "one of many") })
	}
	all.Wait()
}

// TestStrangersShutNobodyOut, the attack: forged tokens from an address that good keys
// come from too. A key that this process has seen is found again, also after a change.
func TestStrangersShutNobodyOut(t *testing.T) {
	b := newBench(t)
	v := b.limited(t, 1)
	id, token := b.issue(t, admin.IssueRequest{Name: "good"})
	wantCode(t, v, token, verifier.Call{}, keys.CodeValid, "before")
	wantCode(t, v, stranger(), verifier.Call{}, keys.CodeNotFound, "a stranger")
	wantCode(t, v, stranger(), verifier.Call{}, keys.CodeRateLimited, "another")
	b.edit(t, id, func(k *keys.Key) { k.Owner = "somebody else" })
	wantCode(t, v, token, verifier.Call{}, keys.CodeValid, "after an edit")
}

// TestA22SourcesOfStrangers, the attack: a client with one IPv6 address has 2^64, and an
// IPv4 address can be written as an IPv6 one. Neither makes another source.
func TestA22SourcesOfStrangers(t *testing.T) {
	for _, tc := range []struct {
		first, second string
		same          bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:1:2:3", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::1%eth1", true},
	} {
		b := newBench(t)
		v := b.limited(t, 1)
		wantCode(t, v, stranger(), from(tc.first), keys.CodeNotFound, tc.first)
		want := keys.CodeNotFound
		if tc.same {
			want = keys.CodeRateLimited
		}
		wantCode(t, v, stranger(), from(tc.second), want, tc.first+" and then "+tc.second)
	}
	b := newBench(t)
	v := b.limited(t, 1)
	wantCode(t, v, stranger(), verifier.Call{Caller: "one"}, keys.CodeNotFound, "a caller")
	wantCode(t, v, stranger(), verifier.Call{Caller: "two"}, keys.CodeNotFound, "another caller")
	wantCode(t, v, stranger(), verifier.Call{Caller: "one"}, keys.CodeRateLimited, "the first caller again")
}
