package verifier_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/local"
)

// flood sends unknown, malformed and revoked keys from one address, as fast as it can,
// until stop is called, which returns how many were sent of each.
func (b *bench) flood(t *testing.T, v *verifier.Verifier, call verifier.Call) (stop func() [3]int64) {
	t.Helper()
	id, revoked := b.issue(t, admin.IssueRequest{Name: "revoked"})
	b.revoke(t, id)
	ctx := context.WithoutCancel(t.Context())
	var over atomic.Bool
	var sent [3]atomic.Int64
	var wg sync.WaitGroup
	for kind, next := range []func() string{
		stranger,
		func() string { return revoked[:53] + otherDigit(revoked[53]) },
		func() string { return revoked },
	} {
		wg.Go(func() {
			for !over.Load() {
				if d := v.Authenticate(ctx, next(), call); d.Valid() {
					t.Errorf("a bad key of kind %d passed", kind)
				}
				sent[kind].Add(1)
			}
		})
	}
	for i := range sent { // it is under way, and the address is held back
		for sent[i].Load() < 200 {
			runtime.Gosched()
		}
	}
	return func() (n [3]int64) {
		over.Store(true)
		wg.Wait()
		for i := range sent {
			n[i] = sent[i].Load()
		}
		return n
	}
}

// TestA22FloodFromOneSource: bad keys of every sort come at full speed from the address
// from which also the good ones come, as behind a proxy. All good keys that are
// remembered pass, none is limited, and none costs a read of the store.
func TestA22FloodFromOneSource(t *testing.T) {
	b := newBench(t)
	v := b.limited(t, 10)
	call := from("192.0.2.1")
	var tokens []string
	for i := range 20 {
		_, token := b.issue(t, admin.IssueRequest{Name: fmt.Sprint("key ", i)})
		tokens = append(tokens, token)
		wantCode(t, v, token, call, keys.CodeValid, "a good key before the flood")
	}
	stop := b.flood(t, v, call)
	before := b.reader.reads.Load()
	for range 500 {
		for _, token := range tokens {
			if d := v.Authenticate(t.Context(), token, call); !d.Valid() {
				t.Fatalf("a good key during the flood: got %v (%v), want valid", d.Code, d.Cause)
			}
		}
	}
	stop()
	if n := b.reader.reads.Load() - before; n != 0 {
		t.Errorf("%d reads of the store during the flood, want none: the keys are remembered, and the rest is held back", n)
	}
}

// TestA22FloodAndTheSlowestChecks: the flood does not make the good keys slow. The
// slowest hundredth of their checks is compared with that of the same process without
// it. What else the machine does meanwhile can spoil a comparison, so it has several.
func TestA22FloodAndTheSlowestChecks(t *testing.T) {
	const tries, allowed = 5, 20
	b := newBench(t)
	_, token := b.issue(t, admin.IssueRequest{Name: "ci"})
	v, err := verifier.New(local.New(b.reader, nil), &verifier.Options{Strangers: keys.RateLimit{Count: 1000, Window: time.Second, Burst: 100}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	call := from("192.0.2.1")
	wantCode(t, v, token, call, keys.CodeValid, "a good key before the flood")
	for try := 1; ; try++ {
		calm := slowest(t, v, token, call)
		stop := b.flood(t, v, call)
		busy := slowest(t, v, token, call)
		sent := stop()
		t.Logf("99 of 100 checks within %v, in a flood of %d within %v", calm, sent, busy)
		if busy <= allowed*calm {
			return
		}
		if try == tries {
			t.Fatalf("99 of 100 checks took %v, and in a flood %v, want at most %d times as long", calm, busy, allowed)
		}
	}
}

// slowest returns how long the checks take of a good key at the most, but for the
// slowest hundredth.
func slowest(t *testing.T, v *verifier.Verifier, token string, call verifier.Call) time.Duration {
	t.Helper()
	took := make([]time.Duration, 20_000)
	for i := range took {
		began := time.Now()
		d := v.Authenticate(t.Context(), token, call)
		took[i] = time.Since(began)
		if !d.Valid() {
			t.Fatalf("a good key: got %v (%v), want valid", d.Code, d.Cause)
		}
	}
	slices.Sort(took)
	return max(took[len(took)*99/100], time.Microsecond)
}
