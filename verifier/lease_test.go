package verifier_test

import (
	"testing"
	"time"
	"unsafe"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// TestLease: when the store cannot be read, what is remembered is good for two
// seconds since the last good look began, and not a moment longer. Nothing new is
// learned meanwhile.
func TestLease(t *testing.T) {
	b := newBench(t)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	_, other := b.issue(t, admin.IssueRequest{Name: "other"})
	b.want(t, token, verifier.Call{}, keys.CodeValid)

	b.reader.pulled.Store(true)
	for _, after := range []time.Duration{0, 249 * time.Millisecond, 2*time.Second - 249*time.Millisecond - time.Nanosecond} {
		b.now = b.now.Add(after)
		b.want(t, token, verifier.Call{}, keys.CodeValid)
		b.want(t, other, verifier.Call{}, keys.CodeUnavailable)
	}
	b.now = b.now.Add(time.Nanosecond)
	d := b.want(t, token, verifier.Call{}, keys.CodeUnavailable)
	if d.RetryAfter <= 0 || d.Cause == nil {
		t.Errorf("over the lease: got %+v, want a cause and a time to come back", d)
	}
	b.reader.pulled.Store(false)
	b.want(t, token, verifier.Call{}, keys.CodeValid)
}

// TestNoLeaseAfterAChange: once anything was announced, a store that cannot tell what
// it was leaves nothing to rely on.
func TestNoLeaseAfterAChange(t *testing.T) {
	b := newBench(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	_, other := b.issue(t, admin.IssueRequest{Name: "other"})
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	b.want(t, other, verifier.Call{}, keys.CodeValid)
	b.reader.pulled.Store(true)
	b.revoke(t, id)
	b.want(t, token, verifier.Call{}, keys.CodeUnavailable)
	b.want(t, other, verifier.Call{}, keys.CodeUnavailable)
	b.reader.pulled.Store(false)
	b.want(t, token, verifier.Call{}, keys.CodeRevoked)
	b.want(t, other, verifier.Call{}, keys.CodeValid)
}

// TestNoLeaseFromAClosedStore: after the store is closed, remembered keys are not used.
func TestNoLeaseFromAClosedStore(t *testing.T) {
	b := newBench(t)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	if err := b.reader.Close(); err != nil {
		t.Fatal(err)
	}
	b.want(t, token, verifier.Call{}, keys.CodeUnavailable)
}

// stepped returns t as a machine reads it whose wall clock was set by whole seconds
// meanwhile: its monotonic reading continues. Package time has no way to say that.
func stepped(t time.Time, by time.Duration) time.Time {
	raw := (*struct {
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t))
	const nanosecondBits = 30
	raw.wall += uint64(by/time.Second) << nanosecondBits // wraps as it should
	return t
}

// TestA24SteppedClocks: the wall clock is set by an hour, forth and back. Expiry
// follows it exactly; rate limits and leases notice nothing.
func TestA24SteppedClocks(t *testing.T) {
	b := newBench(t)
	b.now = time.Now()
	start := b.now
	limited := keys.RateLimit{Count: 1, Window: time.Minute, Burst: 1}
	_, token := b.issue(t, admin.IssueRequest{Name: "half an hour", Expires: keys.ExpiresAt(start.Add(30 * time.Minute))})
	_, slow := b.issue(t, admin.IssueRequest{Name: "once a minute", RateLimit: limited})
	v, err := verifier.New(b.source(b.reader), &verifier.Options{Now: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	b.v = v
	if got := stepped(start, time.Hour); got.Sub(start) != 0 || got.Round(0).Sub(start.Round(0)) != time.Hour {
		t.Fatalf("stepped: %v and %v, so this test shows nothing", got.Sub(start), got.Round(0).Sub(start.Round(0)))
	}
	b.want(t, token, verifier.Call{}, keys.CodeValid)
	b.want(t, slow, verifier.Call{}, keys.CodeValid)
	for _, by := range []time.Duration{time.Hour, -time.Hour, 30 * time.Minute, 0} {
		want := keys.CodeValid
		if by >= 30*time.Minute {
			want = keys.CodeExpired
		}
		b.now = stepped(start, by)
		b.want(t, token, verifier.Call{}, want)
		b.want(t, slow, verifier.Call{}, keys.CodeRateLimited)
	}

	b.reader.pulled.Store(true) // the look that counts began at start
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		b.now = stepped(start.Add(time.Second), by)
		b.want(t, slow, verifier.Call{}, keys.CodeRateLimited)
		b.now = stepped(start.Add(lease), by)
		b.want(t, slow, verifier.Call{}, keys.CodeUnavailable)
	}
	b.reader.pulled.Store(false)
	b.now = stepped(start.Add(time.Minute), -time.Hour)
	b.want(t, slow, verifier.Call{}, keys.CodeValid)
}
