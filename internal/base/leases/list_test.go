package leases_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpkeys/mcpkeys/keys/feed"
)

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		granted := func(caller string, n int) (count int) {
			for range n {
				if f.verifier(caller).ask(t).Lease > 0 {
					count++
				}
			}
			return count
		}
		if got := granted("greedy", 1005); got != 1000 {
			t.Errorf("one key: got %d leases, want 1000", got)
		}
		for i := range 9 {
			if got := granted(fmt.Sprintf("caller%d", i), 1000); got != 1000 {
				t.Errorf("another key: got %d leases, want 1000", got)
			}
		}
		if g := f.verifier("late").ask(t); g.Lease != 0 || !g.All {
			t.Errorf("one verifier too many: got %+v, want no lease", g)
		}
		if got := strings.Count(f.log.String(), "too many verifiers"); got != 1 {
			t.Errorf("got %d lines in the log, want 1", got)
		}
		time.Sleep(feed.LongestLease + 10*time.Millisecond)
		if got := granted("late", 1); got != 1 {
			t.Error("after the leases have ended: got no lease")
		}
	})
}

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t)
		a, b := f.verifier("a"), f.verifier("b")
		a.renew(t)
		b.renew(t)
		f.feed.change("one")
		b.renew(t)
		_, release, err := f.Stream(t.Context(), "b", b.instance)
		if err != nil {
			t.Fatal(err)
		}
		got := f.List()
		if len(got) != 2 {
			t.Fatalf("got %+v, want two verifiers", got)
		}
		if one := got[0]; one.KeyID != "a" || one.Instance != a.instance.Short() || !one.Behind || one.Streaming || one.Applied != uint64(a.applied) ||
			one.Audience != "weather" || one.Address != "192.0.2.1" || one.Agent != "mcpkeys/1" || time.Until(one.LeaseEnds) != feed.LongestLease {
			t.Errorf("got %+v, want the first verifier, behind", one)
		}
		if two := got[1]; two.KeyID != "b" || two.Behind || !two.Streaming {
			t.Errorf("got %+v, want the second verifier, current and streaming", two)
		}
		release()
		if f.List()[1].Streaming {
			t.Error("streaming after the stream ended")
		}
		time.Sleep(1100 * time.Millisecond)
		if !strings.Contains(f.slot.now().list, a.instance.Short()) || strings.Contains(f.slot.now().list, fmt.Sprintf("%x", a.instance)) {
			t.Errorf("got list %s, want the verifiers with their short instance", f.slot.now().list)
		}
		time.Sleep(feed.LongestLease + time.Second)
		if f.slot.now().list != "[]" {
			t.Errorf("after the leases: got list %s, want an empty one", f.slot.now().list)
		}
		for range 1000 {
			f.verifier("caller").ask(t)
		}
		time.Sleep(1100 * time.Millisecond)
		if n := len(f.slot.now().list); n > 60_000 || n < 59_000 {
			t.Errorf("got a list of %d bytes, want just below 60,000", n)
		}
	})
}
