package verifier_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// following is a verifier on the machine's own clock, and a channel per subscription.
func (b *bench) following(t *testing.T) *verifier.Verifier {
	t.Helper()
	v, err := verifier.New(local.New(b.reader, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func wantTold(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second): // a slow machine; the usual time is milliseconds
		t.Fatalf("%s: not told", what)
	}
}

func subscribe(v *verifier.Verifier, id string) (told chan struct{}, cancel func()) {
	told = make(chan struct{}, 100)
	return told, v.OnChange(id, func() { told <- struct{}{} })
}

// TestOnChange: a subscriber of a key is called after a change to it, and not after changes
// to other keys, also without any check.
func TestOnChange(t *testing.T) {
	b := newBench(t)
	v := b.following(t)
	id, _ := b.issue(t, admin.IssueRequest{Name: "one"})
	otherID, _ := b.issue(t, admin.IssueRequest{Name: "two"})
	told, cancel := subscribe(v, id)
	again, _ := subscribe(v, id)
	other, _ := subscribe(v, otherID)

	b.revoke(t, id)
	wantTold(t, told, "a revoke")
	wantTold(t, again, "a revoke, the second subscriber")
	cancel()
	cancel()
	b.revoke(t, otherID)
	wantTold(t, other, "a revoke of the other")
	b.sqlShell(t, `UPDATE keys SET owner = 'x' WHERE id = CAST(? AS BLOB)`, otherID)
	wantTold(t, other, "an edit in a database shell")
	if len(told) != 0 || len(again) != 0 {
		t.Error("told of another key's change, or after cancel")
	}
}

// TestOnChangeWithoutStore: when the store cannot be read for a lease, all subscribers are
// called, once.
func TestOnChangeWithoutStore(t *testing.T) {
	b := newBench(t)
	v := b.following(t)
	told, _ := subscribe(v, "unknown00000")
	b.reader.pulled.Store(true)
	wantTold(t, told, "the store is gone for a lease")
	b.reader.pulled.Store(false)
	id, _ := b.issue(t, admin.IssueRequest{Name: "one"})
	later, _ := subscribe(v, id)
	b.revoke(t, id)
	wantTold(t, later, "a revoke after the store came back")
	if len(told) != 0 {
		t.Error("told more than once of one outage")
	}
}

// TestOnChangeFromWithin: a subscriber may cancel itself, subscribe and authenticate.
func TestOnChangeFromWithin(t *testing.T) {
	b := newBench(t)
	v := b.following(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "one"})
	codes := make(chan keys.Code, 1)
	var cancel func()
	cancel = v.OnChange(id, func() {
		cancel()
		v.OnChange(id, func() {})
		codes <- v.Authenticate(t.Context(), token, verifier.Call{}).Code
	})
	if d := v.Authenticate(t.Context(), token, verifier.Call{}); !d.Valid() {
		t.Fatal(d.Code)
	}
	b.revoke(t, id)
	select {
	case code := <-codes:
		if code != keys.CodeRevoked {
			t.Errorf("Authenticate when told: got %v, want revoked", code)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("not told of a revoke")
	}
}

// countOnce makes the store open its usage file, which stays open with the store. Its
// goroutine does not belong to a verifier.
func (b *bench) countOnce(t *testing.T, token string) {
	t.Helper()
	v := b.following(t)
	v.Authenticate(t.Context(), token, verifier.Call{})
	_ = v.Close()
}

// TestNoGoroutineIsLeft: one runs while there are subscribers, and Close waits for it.
func TestNoGoroutineIsLeft(t *testing.T) {
	b := newBench(t)
	v := b.following(t)
	id, token := b.issue(t, admin.IssueRequest{Name: "one"})
	v.Authenticate(t.Context(), token, verifier.Call{})
	b.countOnce(t, token)
	before := goleak.IgnoreCurrent()
	_, cancel := subscribe(v, id)
	if err := goleak.Find(before); err == nil {
		t.Error("no goroutine follows the epoch for a subscriber")
	}
	cancel()
	goleak.VerifyNone(t, before) // retries for a while
	_, cancel = subscribe(v, id)
	_ = v.Close()
	if err := goleak.Find(before); err != nil {
		t.Errorf("after Close: %v", err)
	}
	cancel()
	subscribe(v, id)
	_ = v.Close()
	goleak.VerifyNone(t, before)
}
