package verifier_test

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// A request that carries calls takes nothing of the key's own limit; each call does, and
// the refusal says of the caller all that was found out about it.
func TestCallsWithinARequestAreCharged(t *testing.T) {
	b := newBench(t)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci", Scopes: []string{"tools:*"}, RateLimit: keys.RateLimit{Count: 5, Window: time.Minute, Burst: 5}})
	call := verifier.Call{Messages: true, ClientIP: netip.MustParseAddr("192.0.2.7"), Agent: "client/1"}
	var d keys.Decision
	for range 60 {
		d = wantCode(t, b.v, token, call, keys.CodeValid, "a request")
	}
	if d := wantCode(t, b.v, token, call, keys.CodeRateLimited, "request 61"); d.Limit.Count != 60 || d.RetryAfter <= 0 {
		t.Errorf("request 61: got %+v, want the limit on requests", d)
	}
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if b.v.Charge(d, call).Valid() {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := passed.Load(); n != 5 {
		t.Errorf("200 calls at one instant: %d passed, want 5", n)
	}
	refused := b.v.Charge(d, call)
	if refused.Code != keys.CodeRateLimited || refused.Valid() || !refused.Proved() || refused.KeyID != d.KeyID || refused.RetryAfter != 12*time.Second {
		t.Errorf("a call over the limit: got %+v, want the same caller, rate limited for 12 s", refused)
	}
	wantCode(t, b.v, token, verifier.Call{}, keys.CodeRateLimited, "a request that is a call, of the same limit")
	b.now = b.now.Add(12 * time.Second)
	if d := b.v.Charge(d, call); !d.Valid() {
		t.Errorf("12 s later: got %v, want valid", d.Code)
	}
}

// A limit that was set or lifted since the request came counts for its next call. A cost
// counts as it does for a request, and a refused request cannot be charged.
func TestChargeGoesByTheLimitOfNow(t *testing.T) {
	b := newBench(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	call := verifier.Call{Messages: true, Cost: 2}
	d := wantCode(t, b.v, token, call, keys.CodeValid, "without a limit")
	if d := b.v.Charge(d, call); !d.Valid() || !d.Limit.IsZero() {
		t.Errorf("without a limit: got %+v, want valid and no limit", d)
	}
	limit := keys.RateLimit{Count: 4, Window: time.Minute, Burst: 4}
	if _, err := b.manager.Edit(t.Context(), id, admin.EditRequest{RateLimit: &limit}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []keys.Code{keys.CodeValid, keys.CodeValid, keys.CodeRateLimited} {
		if got := b.v.Charge(d, call).Code; got != want {
			t.Errorf("call %d of cost 2 under 4/m: got %v, want %v", i+1, got, want)
		}
	}
	if got := b.v.Charge(keys.Decision{Code: keys.CodeRevoked, KeyID: id}, call).Code; got != keys.CodeRevoked {
		t.Errorf("charge of what was refused: got %v, want revoked", got)
	}
}
