package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

func denials(t testing.TB, log store.DenialLog) []usage.Denial {
	t.Helper()
	list, err := log.Denials(t.Context(), store.DenialQuery{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Each kind of refusal is a row a minute, with a count, the key and the source; accepted
// calls have no row.
func TestDenialsAreSampled(t *testing.T) {
	b := newBench(t)
	b.now = b.now.Truncate(time.Minute).Add(time.Minute)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci", Audience: []string{"weather"}})
	call := verifier.Call{Audience: "maps", ClientIP: netip.MustParseAddr("2001:db8::7"), Agent: "curl/8.5 (x)"}
	for range 3 {
		wantCode(t, b.v, token, call, keys.CodeWrongAudience, "elsewhere")
	}
	call.Audience = "weather"
	d := wantCode(t, b.v, token, call, keys.CodeValid, "at its server")
	b.v.NoteDenial(d.Authorize("tools:x"), call)
	wantCode(t, b.v, "junk", verifier.Call{ClientIP: netip.MustParseAddr("::ffff:192.0.2.1")}, keys.CodeMalformed, "junk")
	wantCode(t, b.v, withCheck(token[:47]+otherDigit(token[47])), verifier.Call{}, keys.CodeNotFound, "a wrong secret")
	b.revoke(t, id)
	wantCode(t, b.v, token, call, keys.CodeRevoked, "after a revoke")
	b.now = b.now.Add(time.Minute) // which is noticed with the next kind of refusal, or by the next writing
	wantCode(t, b.v, "junk", verifier.Call{}, keys.CodeMalformed, "junk a minute later")
	wantCode(t, b.v, token, call, keys.CodeRevoked, "a minute later")
	if err := b.v.Close(); err != nil {
		t.Fatal(err)
	}
	first, net := b.now.Add(-time.Minute), netip.MustParsePrefix("2001:db8::/64")
	row := func(minute time.Time, code keys.Code, audience string, calls int64) usage.Denial {
		return usage.Denial{Minute: minute, Code: code, KeyID: id, Proved: true, Source: net, Audience: audience, Agent: "curl/8.5", Calls: calls}
	}
	elsewhere, scope := row(first, keys.CodeWrongAudience, "maps", 3), row(first, keys.CodeInsufficientScope, "weather", 1)
	elsewhere.Offered, scope.Scope = "weather", "tools:x"
	want := []usage.Denial{
		{Minute: b.now, Code: keys.CodeMalformed, Calls: 1},
		row(b.now, keys.CodeRevoked, "weather", 1),
		elsewhere,
		scope,
		{Minute: first, Code: keys.CodeMalformed, Source: netip.MustParsePrefix("192.0.2.1/32"), Calls: 1},
		{Minute: first, Code: keys.CodeNotFound, KeyID: id, Calls: 1},
		row(first, keys.CodeRevoked, "weather", 1),
	}
	if d := cmp.Diff(want, denials(t, b.store), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Errorf("denials (-want +got):\n%s", d)
	}
}

// A22. The attack: a flood of invented keys from ever new addresses, to fill the memory or
// the file, or to hide attempts with a revoked key. It makes only a few rows, every refusal
// is counted, and the revoked key's row is kept.
func TestA22FloodOfDenialsIsBounded(t *testing.T) {
	b := newBench(t)
	b.now = b.now.Truncate(time.Minute).Add(time.Minute)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	b.revoke(t, id)
	const flood = 3000
	for i := range flood {
		call := verifier.Call{ClientIP: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}
		if i == flood/2 {
			wantCode(t, b.v, token, call, keys.CodeRevoked, "the revoked key")
		}
		b.v.Authenticate(t.Context(), fmt.Sprint("junk", i), call)
	}
	if err := b.v.Close(); err != nil {
		t.Fatal(err)
	}
	list := denials(t, b.store)
	if len(list) > 70 {
		t.Errorf("got %d rows for a minute's flood, want some 65", len(list))
	}
	sums := map[keys.Code]int64{}
	for _, d := range list {
		sums[d.Code] += d.Calls
	}
	if sums[keys.CodeMalformed] != flood || sums[keys.CodeRevoked] != 1 {
		t.Errorf("got %v, want %d malformed and 1 revoked", sums, flood)
	}
}

// P8: no token, and no secret of one, is among what is written.
func TestDenialsHoldNoToken(t *testing.T) {
	b := newBench(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	b.revoke(t, id)
	for _, bad := range []string{token, token[:len(token)-1], token + "x", strings.ToUpper(token), withCheck(token[:47] + otherDigit(token[47]))} {
		b.v.Authenticate(t.Context(), bad, verifier.Call{Agent: bad})
	}
	if err := b.v.Close(); err != nil {
		t.Fatal(err)
	}
	list := denials(t, b.store)
	if len(list) == 0 {
		t.Fatal("nothing was sampled")
	}
	if text := fmt.Sprint(list); keys.LooksLikeToken(text) || strings.Contains(text, token[18:30]) {
		t.Errorf("a token is among the denials: %s", text)
	}
}

// Denials are written after five seconds by themselves, also if one kind continues; a failed
// write is reported, and its denials are kept for the next one.
func TestDenialsAreWrittenInTime(t *testing.T) {
	b := newBench(t)
	synctest.Test(t, func(t *testing.T) {
		var failed sync.Map
		log := &failing{Store: b.reader}
		v, err := verifier.New(local.New(log, nil), &verifier.Options{OnUseError: func(err error) { failed.Store(err.Error(), true) }})
		if err != nil {
			t.Fatal(err)
		}
		junk := func() { v.Authenticate(t.Context(), "junk", verifier.Call{}) }
		junk()
		junk()
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if n := log.calls(); n != 2 {
			t.Errorf("after 6 seconds: got %d calls written, want 2", n)
		}
		junk()
		log.down.Store(true)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if _, told := failed.Load("disk gone"); !told || log.calls() != 2 {
			t.Errorf("a failure was not told, or %d calls written, want 2", log.calls())
		}
		log.down.Store(false)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if n := log.calls(); n != 3 {
			t.Errorf("after the failure: got %d calls written, want 3", n)
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
		junk()
		time.Sleep(6 * time.Second)
		if n := log.calls(); n != 3 {
			t.Errorf("after Close: got %d calls written, want 3", n)
		}
	})
}

// failing notes what is written, and can be made to fail.
type failing struct {
	local.Store
	down atomic.Bool
	sum  atomic.Int64
}

func (f *failing) AddDenials(_ context.Context, list []usage.Denial) error {
	if f.down.Load() {
		return errors.New("disk gone")
	}
	for _, d := range list {
		f.sum.Add(d.Calls)
	}
	return nil
}

func (f *failing) calls() int64 { return f.sum.Load() }
