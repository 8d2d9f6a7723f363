package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// counts sums what is written down of a key's use, as "code scope" to calls.
func counts(t testing.TB, log store.UseLog, id string) map[string]int64 {
	t.Helper()
	usage, err := log.Usage(t.Context(), id, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]int64{}
	for _, c := range usage.Counts {
		sums[strings.TrimSpace(string(c.Code)+" "+c.Scope)] += c.Calls
	}
	return sums
}

// TestUseIsCounted: each request counts once under its outcome, each scope that it
// needed under what came of it, and the last use tells when, from where and with what.
func TestUseIsCounted(t *testing.T) {
	b := newBench(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci", Scopes: []string{"tools:get_*"}, RateLimit: keys.RateLimit{Count: 4, Window: time.Minute, Burst: 4}})
	call := verifier.Call{ClientIP: netip.MustParseAddr("::ffff:192.0.2.7"), Agent: "weather-bot/1.2 (+https://bot.example)"}
	for range 3 {
		d := wantCode(t, b.v, token, call, keys.CodeValid, "a good call")
		b.v.Authorize(d, verifier.Call{}, "tools:get_x", "tools:get_y")
		b.v.Authorize(d, verifier.Call{}, "tools:set_x")
		b.v.Authorize(d, verifier.Call{})
	}
	b.now = b.now.Add(time.Second)
	wantCode(t, b.v, token, verifier.Call{}, keys.CodeValid, "the last good call")
	b.now = b.now.Add(time.Second)
	wantCode(t, b.v, token, verifier.Call{}, keys.CodeRateLimited, "one too many")
	wantCode(t, b.v, withCheck(token[:47]+otherDigit(token[47])), verifier.Call{}, keys.CodeNotFound, "a wrong secret")
	wantCode(t, b.v, token, verifier.Call{Audience: "x", Kind: keys.KindAdmin}, keys.CodeWrongKind, "at the admin API")
	b.revoke(t, id)
	wantCode(t, b.v, token, verifier.Call{}, keys.CodeRevoked, "after a revoke")
	if err := b.v.Close(); err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{
		"valid": 4, "rate_limited": 1, "not_found": 1, "wrong_kind": 1, "revoked": 1,
		"valid tools:get_x": 3, "valid tools:get_y": 3, "insufficient_scope tools:set_x": 3,
	}
	if diff := cmp.Diff(want, counts(t, b.store, id)); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	usage, _ := b.store.Usage(t.Context(), id, b.now)
	last := keys.LastUse{Secret: 1, At: b.now.Add(-time.Second), ClientIP: netip.MustParseAddr("192.0.2.7"), Agent: "weather-bot/1.2"}
	if diff := cmp.Diff([]keys.LastUse{last}, usage.Last, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("last use (-want +got):\n%s", diff)
	}
}

// TestA3RequestCountsOnce, the bug of another: each look-up counted against the limit,
// so that a request that was looked up thrice used up three. Scopes may be asked, and
// counted, as often as one likes.
func TestA3RequestCountsOnce(t *testing.T) {
	b := newBench(t)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci", Scopes: []string{"*"}, RateLimit: keys.RateLimit{Count: 10, Window: time.Minute, Burst: 10}})
	for left := 9; left >= 0; left-- {
		d := wantCode(t, b.v, token, verifier.Call{}, keys.CodeValid, "within the limit")
		for i := range 20 {
			d.Identity.Allows(fmt.Sprint("tools:", i))
			b.v.Authorize(d, verifier.Call{}, "tools:x")
		}
		if wait := time.Duration(10-left) * 6 * time.Second; d.Remaining != left || d.Reset != wait || d.Limit.Count != 10 {
			t.Errorf("got %d left of %d and all in %v, want %d of 10 and %v", d.Remaining, d.Limit.Count, d.Reset, left, wait)
		}
	}
	d := wantCode(t, b.v, token, verifier.Call{}, keys.CodeRateLimited, "one too many")
	if d.RetryAfter != 6*time.Second || d.Remaining != 0 || d.Reset != time.Minute {
		t.Errorf("refused: got %v, %d left, all in %v; want 6s, 0, 1m", d.RetryAfter, d.Remaining, d.Reset)
	}
}

// TestEvictedUseIsCounted: a key that falls out of a small cache takes no count with it.
func TestEvictedUseIsCounted(t *testing.T) {
	b := newBench(t)
	v, err := verifier.New(b.source(b.reader), &verifier.Options{Keys: 4, Now: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i := range 12 {
		id, token := b.issue(t, admin.IssueRequest{Name: fmt.Sprint("key ", i)})
		ids = append(ids, id)
		for range 3 {
			wantCode(t, v, token, verifier.Call{}, keys.CodeValid, id)
		}
	}
	_ = v.Close()
	seen := 0
	for _, id := range ids {
		if n := counts(t, b.store, id)["valid"]; n == 3 {
			seen++
		} else if n != 0 {
			t.Errorf("key %s: got %d calls, want all 3 or, with eight waiting, none", id, n)
		}
	}
	if seen < 8 {
		t.Errorf("%d keys counted, want the 8 that may wait", seen)
	}
}

// TestScopesAreBounded, the attack: a key that may do anything calls a million things
// that do not exist, to fill the disk with their names.
func TestScopesAreBounded(t *testing.T) {
	b := newBench(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci", Scopes: []string{"*"}})
	d := wantCode(t, b.v, token, verifier.Call{}, keys.CodeValid, "a good call")
	for i := range 10_000 {
		b.v.Authorize(d, verifier.Call{}, fmt.Sprint("tools:", i))
	}
	_ = b.v.Close()
	got := counts(t, b.store, id)
	if len(got) > 70 || got["valid *"] < 9_000 {
		t.Errorf("%d rows with %d others, want some dozens with the rest in one", len(got), got["valid *"])
	}
}

// TestDeniedScopesAreBounded, the same by a key that was granted nothing: it can still
// name things, as long as it likes.
func TestDeniedScopesAreBounded(t *testing.T) {
	b := newBench(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	d := wantCode(t, b.v, token, verifier.Call{}, keys.CodeValid, "a good call")
	for i := range 1000 {
		scope := fmt.Sprint("tools:", i, strings.Repeat("x", 1000-i))
		b.v.Authorize(d, verifier.Call{}, scope)
	}
	_ = b.v.Close()
	got := counts(t, b.store, id)
	if got["insufficient_scope *"] < 900 || len(got) > 20 {
		t.Errorf("%d rows with %d others, want a few with the rest in one", len(got), got["insufficient_scope *"])
	}
	for name := range got {
		if len(name) > 200 {
			t.Errorf("a name of %d bytes is kept", len(name))
		}
	}
}

// TestASecretWithoutItsIDIsNotWrittenDown, the attack (A23): a client sends the secret of its
// key, without prefix and id, as the name of a tool, a prompt or a resource, or as its
// User-Agent. Granted or refused, whole or cut by a few characters, it was a scope in the
// usage file and among the denials.
func TestASecretWithoutItsIDIsNotWrittenDown(t *testing.T) {
	b := newBench(t)
	granted, token := b.issue(t, admin.IssueRequest{Name: "all", Scopes: []string{"*"}})
	refused, other := b.issue(t, admin.IssueRequest{Name: "none"})
	const secret = "oHR7DyPmAFr3zHJjb07SPhsyRbGORxlazU1Y" // of any key; a fixed one, so that no luck is in it
	for _, token := range []string{token, other} {
		for _, text := range []string{secret, secret[:30], secret[6:], "get-" + secret + "/x"} {
			call := verifier.Call{Agent: text + "/1.0 x"}
			for _, scope := range []string{"tools:" + text, "prompts:" + text, "resources:doc/" + text, "tools:" + text + ":run"} {
				b.v.Authorize(b.v.Authenticate(t.Context(), token, call), call, "tools:known", scope)
			}
		}
	}
	_ = b.v.Close()
	used := fmt.Sprint(counts(t, b.store, granted), counts(t, b.store, refused))
	if keys.LooksLikeToken(used) || !strings.Contains(used, "valid *:16") || !strings.Contains(used, "insufficient_scope *:16") {
		t.Errorf("got %s, want 16 valid and 16 insufficient_scope under *, and no secret", used)
	}
	if list := fmt.Sprint(denials(t, b.store)); keys.LooksLikeToken(list) || !strings.Contains(list, "insufficient_scope") {
		t.Errorf("got %s, want denials without a secret", list)
	}
}

// TestUnwrittenUseIsTold: who closes hears that counts are lost.
func TestUnwrittenUseIsTold(t *testing.T) {
	b := newBench(t)
	told := make(chan error, 10)
	v, err := verifier.New(local.New(b.reader, nil), &verifier.Options{OnUseError: func(err error) { told <- err }})
	if err != nil {
		t.Fatal(err)
	}
	_, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	wantCode(t, v, token, verifier.Call{}, keys.CodeValid, "a good call")
	_ = b.store.Close()
	_ = b.reader.Close()
	if err := v.Close(); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("Close: got %v, want that the store is unavailable", err)
	}
	if len(told) != 1 {
		t.Errorf("OnUseError was called %d times, want once", len(told))
	}
}

// TestUseIsWrittenInTime: counts are written without a Close.
func TestUseIsWrittenInTime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	wantCode(t, b.v, token, verifier.Call{}, keys.CodeValid, "a good call")
	for until := time.Now().Add(20 * time.Second); counts(t, b.store, id)["valid"] != 1; {
		if time.Now().After(until) {
			t.Fatal("not written after 20 s, though every 5 s was promised")
		}
		<-time.After(50 * time.Millisecond)
	}
}

// TestKilledServerLosesSeconds: a killed server loses only the counts of the last interval.
func TestKilledServerLosesSeconds(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	cmd, _, lines := f.start(t, "counter")
	type counted struct {
		calls int64
		at    time.Time
	}
	var heard []counted
	for lines.Scan() { // a line every 100 calls
		calls, at, _ := strings.Cut(lines.Text(), " ")
		n, err1 := strconv.ParseInt(calls, 10, 64)
		nanos, err2 := strconv.ParseInt(at, 10, 64)
		if err1 != nil || err2 != nil {
			t.Fatalf("counter: %q", lines.Text())
		}
		heard = append(heard, counted{n, time.Unix(0, nanos)})
		if heard[len(heard)-1].at.Sub(heard[0].at) > 8*time.Second {
			break
		}
	}
	_ = cmd.Process.Kill()
	killed := time.Now()
	_ = cmd.Wait()

	s, err := sqlite.Open(f.path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := s.Key(context.Background(), f.keys[0].ID); err != nil {
		t.Errorf("the key after the kill: %v", err)
	}
	const interval = 5 * time.Second
	var must int64
	for _, h := range heard {
		if killed.Sub(h.at) > interval+2*time.Second { // two for a slow machine to write
			must = h.calls
		}
	}
	if got := counts(t, s, f.keys[0].ID)["valid"]; must == 0 || got < must {
		t.Errorf("%d calls written, want at least the %d that were counted %v before the end", got, must, interval)
	}
}

// counterRole checks one key for ever, and says how often it did.
func counterRole(dir string) error {
	f, err := joinFleet(dir)
	if err != nil {
		return err
	}
	r, err := sqlite.OpenVerifier(f.path(), nil)
	if err != nil {
		return err
	}
	v, err := verifier.New(local.New(r, nil), nil)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		v.Authenticate(context.Background(), f.keys[0].Token, verifier.Call{})
		if n%100 == 0 {
			fmt.Println(n, time.Now().UnixNano())
			<-time.After(time.Millisecond)
		}
	}
}
