package verifier

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

// No call is lost or counted twice while 64 goroutines count, the hour turns with each new scope, so
// that counters go out of use, and counts are taken all the time.
func TestScopesInTheRush(t *testing.T) {
	const counters, each = 64, 3_000
	var s scopes
	var hour atomic.Int64
	clock := func() time.Time { return time.Unix(hour.Add(1)*3600, 0) }
	sums := map[string]int64{}
	take := func() {
		for _, c := range s.empty(nil, time.Time{}) {
			sums[c.Scope] += c.Calls
		}
	}
	var counting sync.WaitGroup
	for g := range counters {
		counting.Go(func() {
			for i := range each {
				s.countScope("tools:busy", keys.CodeValid, clock)
				if i%8 == 0 {
					s.countScope(fmt.Sprint("tools:", (g+i)%32), keys.CodeValid, clock)
				}
			}
		})
	}
	over := make(chan struct{})
	go func() { counting.Wait(); close(over) }()
	for counted := false; !counted; {
		select {
		case <-over:
			counted = true
		default:
		}
		take()
	}
	var rest int64
	for scope, n := range sums {
		if scope != "tools:busy" {
			rest += n
		}
	}
	if sums["tools:busy"] != counters*each || rest != counters*each/8 {
		t.Errorf("got %d and %d calls, want %d and %d", sums["tools:busy"], rest, counters*each, counters*each/8)
	}
}

// A counter that is out of use does not count: who still has it counts in another.
func TestRetiredScope(t *testing.T) {
	var s scopes
	hour := time.Unix(0, 0)
	clock := func() time.Time { return hour }
	s.countScope("tools:a", keys.CodeValid, clock)
	old := s.find("tools:a", keys.CodeValid)
	if old.retire() {
		t.Fatal("a counter with a call that was not taken went out of use")
	}
	s.empty(nil, hour)
	hour = hour.Add(time.Hour)
	s.countScope("tools:b", keys.CodeValid, clock)
	if s.find("tools:a", keys.CodeValid) != nil || old.add() {
		t.Error("a counter of the last hour is still in use")
	}
	s.countScope("tools:a", keys.CodeValid, clock)
	if got := s.empty(nil, hour); len(got) != 2 || got[0].Calls != 1 || got[1].Calls != 1 {
		t.Errorf("got %+v, want one call of each", got)
	}
}

// Counting a scope that was counted before takes no memory, and a flood of scopes ends in one.
func TestScopesAreBounded(t *testing.T) {
	var s scopes
	for i := range 10 * maxScopes {
		s.countScope(fmt.Sprint("tools:", i), keys.CodeValid, time.Now)
		s.countScope(fmt.Sprint("tools:", i), keys.CodeInsufficientScope, time.Now)
	}
	if n := len(s.all()); n != maxScopes+maxDenied+2 {
		t.Errorf("counters: got %d, want %d", n, maxScopes+maxDenied+2)
	}
	if one := s.find(usage.OtherScopes, keys.CodeValid); one == nil || one.taken() != 9*maxScopes {
		t.Error("the calls of scopes without a counter of their own were not counted together")
	}
	if n := testing.AllocsPerRun(100, func() { s.countScope("tools:5", keys.CodeValid, time.Now) }); n != 0 {
		t.Errorf("allocations: got %v, want none", n)
	}
}
