package verifier_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
)

func wantEnd(t *testing.T, ended <-chan keys.Code, want keys.Code) {
	t.Helper()
	select {
	case got := <-ended:
		if got != want {
			t.Errorf("ended with %v, want %v", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
}

// TestHold: what is held open ends when its key may no longer do what it was opened
// for, and not before.
func TestHold(t *testing.T) {
	scopes := func(s ...string) func(*keys.Key) { return func(k *keys.Key) { k.Scopes = s } }
	for _, tc := range []struct {
		name  string
		alter func(*keys.Key)
		want  keys.Code // empty: it continues
	}{
		{"revoked", func(k *keys.Key) { k.RevokedAt = time.Now().UTC().Truncate(time.Microsecond) }, keys.CodeRevoked},
		{"disabled", func(k *keys.Key) { k.DisabledAt = time.Now().UTC().Truncate(time.Microsecond) }, keys.CodeDisabled},
		{"expired", func(k *keys.Key) { k.ExpiresAt = time.Now().UTC().Truncate(time.Microsecond) }, keys.CodeExpired},
		{"a scope taken away", scopes("tools:get_*"), keys.CodeInsufficientScope},
		{"a scope narrowed", scopes("tools:get_a*", "prompts:x"), keys.CodeInsufficientScope},
		{"another audience", func(k *keys.Key) { k.Audience = []string{"elsewhere"} }, keys.CodeWrongAudience},
		{"its secret replaced", func(k *keys.Key) { k.Secrets[0].Number = 2 }, keys.CodeExpired},
		{"the end of a grace", func(k *keys.Key) {
			k.Secrets[0].ExpiresAt = time.Now().UTC().Add(50 * time.Millisecond).Truncate(time.Microsecond)
		}, keys.CodeExpired},
		{"an expiry soon", func(k *keys.Key) {
			k.ExpiresAt = time.Now().UTC().Add(50 * time.Millisecond).Truncate(time.Microsecond)
		}, keys.CodeExpired},
		{"renamed", func(k *keys.Key) { k.Name = "other" }, ""},
		{"widened", scopes("tools:get_*", "prompts:*", "prompts:x", "x"), ""},
		{"a later expiry", func(k *keys.Key) { k.ExpiresAt = time.Now().UTC().Add(time.Hour).Truncate(time.Microsecond) }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			v := b.following(t)
			id, token := b.issue(t, admin.IssueRequest{Name: "ci", Scopes: []string{"tools:get_*", "prompts:x"}})
			d := wantCode(t, v, token, verifier.Call{Audience: "weather"}, keys.CodeValid, "before")
			ended := make(chan keys.Code, 10)
			release := v.Hold(d, verifier.Call{Audience: "weather"}, covers(d), func(c keys.Code) { ended <- c })
			defer release()
			b.edit(t, id, tc.alter)
			wantRecheck(t, v, d, tc.want)
			if tc.want == "" {
				b.revoke(t, id) // told, unless the change before it was
				tc.want = keys.CodeRevoked
			}
			wantEnd(t, ended, tc.want)
		})
	}
}

// covers holds what takes all that d grants.
func covers(d keys.Decision) func(*keys.Identity) bool {
	return func(now *keys.Identity) bool { return now.Covers(d.Identity) }
}

// TestHoldAsksOnlyForWhatIsNeeded: a hold that needs one scope continues when another is
// removed, and one that needs none continues while its key is valid.
func TestHoldAsksOnlyForWhatIsNeeded(t *testing.T) {
	b := newBench(t)
	v := b.following(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci", Scopes: []string{"tools:*"}})
	d := wantCode(t, v, token, verifier.Call{}, keys.CodeValid, "before")
	hold := func(enough func(*keys.Identity) bool) <-chan keys.Code {
		ended := make(chan keys.Code, 10)
		t.Cleanup(v.Hold(d, verifier.Call{}, enough, func(c keys.Code) { ended <- c }))
		return ended
	}
	kept := hold(func(now *keys.Identity) bool { return now.Allows("tools:a") })
	lost := hold(func(now *keys.Identity) bool { return now.Allows("tools:b") })
	none := hold(nil)
	b.edit(t, id, func(k *keys.Key) { k.Scopes = []string{"tools:a"} })
	wantEnd(t, lost, keys.CodeInsufficientScope)
	b.revoke(t, id)
	wantEnd(t, kept, keys.CodeRevoked) // and not insufficient_scope before
	wantEnd(t, none, keys.CodeRevoked)
}

// TestHoldMissesNothing: a change between the decision and Hold ends it too, and a refusal
// holds nothing.
func TestHoldMissesNothing(t *testing.T) {
	b := newBench(t)
	v := b.following(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	d := wantCode(t, v, token, verifier.Call{}, keys.CodeValid, "before")
	b.revoke(t, id)
	ended := make(chan keys.Code, 2)
	defer v.Hold(d, verifier.Call{}, nil, func(c keys.Code) { ended <- c })()
	wantEnd(t, ended, keys.CodeRevoked)
	defer v.Hold(keys.Decision{Code: keys.CodeValid}, verifier.Call{}, nil, func(c keys.Code) { ended <- c })()
	wantEnd(t, ended, keys.CodeUnavailable)
}

// TestHoldWithoutStore: when the store cannot be read for a lease, the stream ends.
func TestHoldWithoutStore(t *testing.T) {
	b := newBench(t)
	v := b.following(t)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	d := wantCode(t, v, token, verifier.Call{}, keys.CodeValid, "before")
	ended := make(chan keys.Code, 1)
	defer v.Hold(d, verifier.Call{}, nil, func(c keys.Code) { ended <- c })()
	b.reader.pulled.Store(true)
	wantEnd(t, ended, keys.CodeUnavailable)
}

// TestHoldIsReleased: released, it says nothing and leaves nothing running.
func TestHoldIsReleased(t *testing.T) {
	b := newBench(t)
	v := b.following(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	d := wantCode(t, v, token, verifier.Call{}, keys.CodeValid, "before")
	b.countOnce(t, token)
	before := goleak.IgnoreCurrent()
	release := v.Hold(d, verifier.Call{}, nil, func(keys.Code) { t.Error("told after release") })
	release()
	release()
	b.revoke(t, id)
	_ = v.Close()
	goleak.VerifyNone(t, before)
}

// wantRecheck: what Hold tells in a while is known at once to who asks, but for an end
// that is still to come.
func wantRecheck(t *testing.T, v *verifier.Verifier, d keys.Decision, want keys.Code) {
	t.Helper()
	now, got := v.Recheck(d, verifier.Call{Audience: "weather"})
	if (now != nil) != (got == keys.CodeValid) {
		t.Errorf("Recheck: got the identity %v with %v", now, got)
	}
	if got == keys.CodeValid && !now.Covers(d.Identity) {
		got = keys.CodeInsufficientScope
	}
	if want == "" {
		want = keys.CodeValid
	}
	if got != want && (want != keys.CodeExpired || got != keys.CodeValid) {
		t.Errorf("Recheck: got %v, want %v", got, want)
	}
}

// TestShortHoldsLeaveNothing: what is over at once has subscribed to nothing.
func TestShortHoldsLeaveNothing(t *testing.T) {
	b := newBench(t)
	v := b.following(t)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	d := wantCode(t, v, token, verifier.Call{}, keys.CodeValid, "before")
	before := goleak.IgnoreCurrent()
	for range 100 {
		v.Hold(d, verifier.Call{}, nil, func(keys.Code) { t.Error("ended") })()
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
