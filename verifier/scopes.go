package verifier

import (
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

const (
	// maxScopes is how many granted scopes of one key are counted separately in one hour, and
	// maxDenied how many that were not granted. A key for every tool can also name tools that
	// do not exist, and so can a key for none.
	maxScopes = 64
	maxDenied = 16
	// maxScopeText is the longest scope, in bytes, that is counted on its own.
	maxScopeText = 128
)

// scopes count how often each scope was required of one key. A scope that was counted before is
// counted without a lock.
type scopes struct {
	list atomic.Pointer[[]*scopeCount] // is replaced, never changed; zeros stay, so that there is a limit to the scopes of an hour

	adding sync.Mutex // held to replace list
	hour   int64      // in which the last one was added, in seconds since 1970
}

type scopeCount struct {
	scope string
	code  keys.Code
	calls atomic.Int64 // below zero: it is no longer in the list
}

// gone is far enough below zero that counting does not reach it.
const gone = math.MinInt64 / 2

// add counts one call. It returns false if the counter is gone and the call must be counted in
// another.
func (c *scopeCount) add() bool { return c.calls.Add(1) > 0 }

// retire takes a counter out of use, unless there is something in it to be written.
func (c *scopeCount) retire() bool { return c.calls.CompareAndSwap(0, gone) }

// taken is what was counted since the last time.
func (c *scopeCount) taken() int64 { return c.calls.Swap(0) }

// countScope counts one required scope.
func (s *scopes) countScope(scope string, code keys.Code, clock func() time.Time) {
	if one := s.find(scope, code); one != nil && one.add() {
		return
	}
	s.adding.Lock()
	defer s.adding.Unlock()
	s.counter(scope, code, clock().UTC().Truncate(time.Hour).Unix()).add()
}

func (s *scopes) all() []*scopeCount {
	if list := s.list.Load(); list != nil {
		return *list
	}
	return nil
}

func (s *scopes) find(scope string, code keys.Code) *scopeCount {
	for _, one := range s.all() {
		if one.scope == scope && one.code == code {
			return one
		}
	}
	return nil
}

// counter returns a counter for a scope in this hour, or the shared one if there are too many.
// The caller holds adding.
func (s *scopes) counter(scope string, code keys.Code, hour int64) *scopeCount {
	if one := s.find(scope, code); one != nil {
		return one
	}
	if s.hour != hour {
		s.hour = hour
		s.replace(slices.DeleteFunc(slices.Clone(s.all()), (*scopeCount).retire))
	}
	if !s.roomFor(code) || unfitToKeep(scope) {
		scope = usage.OtherScopes
		if one := s.find(scope, code); one != nil {
			return one
		}
	}
	one := &scopeCount{scope: strings.Clone(scope), code: code} // or a message would stay in memory with it
	s.replace(append(slices.Clip(s.all()), one))
	return one
}

func (s *scopes) replace(list []*scopeCount) { s.list.Store(&list) }

func (s *scopes) roomFor(code keys.Code) bool {
	most, n := maxScopes, 0
	if code != keys.CodeValid {
		most = maxDenied
	}
	for _, one := range s.all() {
		if one.code == code {
			n++
		}
	}
	return n < most
}

// unfitToKeep: a tool name sent by a caller may be too long, not a scope, or contain a key
// or a secret. The log leaves out the same names.
func unfitToKeep(scope string) bool {
	return len(scope) > maxScopeText || keys.ValidateRequired(scope) != nil || keys.LooksLikeToken(scope)
}

// empty moves what was counted to counts of that hour. A call that is counted at that moment is
// either among them or stays.
func (s *scopes) empty(counts []usage.Count, hour time.Time) []usage.Count {
	s.adding.Lock() // or a counter that is retired in between would be in use again
	defer s.adding.Unlock()
	for _, one := range s.all() {
		if n := one.taken(); n > 0 {
			counts = append(counts, usage.Count{Hour: hour, Code: one.code, Scope: one.scope, Calls: n})
		}
	}
	return counts
}
