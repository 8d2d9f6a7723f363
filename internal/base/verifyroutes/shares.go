package verifyroutes

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/usage"
)

const (
	// maxDenialRows is how many rows of denials one verify key adds in a minute: twice as many
	// as a verifier counts separately. The store keeps [usage.DenialsKept] rows of all audiences
	// together, and the audience with the most rows loses its oldest ones.
	maxDenialRows = 640
	// maxDenying is how many verify keys have a share of their own in a minute; further ones
	// have one together.
	maxDenying = 1000
)

// shares bounds the rows of denials that each verify key adds in a minute of the server's clock.
// A verifier sends a row again with each count of the same minute, so equal rows are one.
type shares struct {
	mu     sync.Mutex
	seed   maphash.Seed
	minute time.Time
	of     map[string]map[uint64]struct{} // by verify key: sums of the rows it added
}

// denialRow has the fields in which two denials of one row of the store agree.
type denialRow struct {
	minute          int64
	code            keys.Code
	keyID           string
	proved          bool
	source          netip.Prefix
	audience, scope string
}

// cut returns the rows of list that caller may add now, in the memory of list. Denials are a
// sample, so the others are dropped.
func (s *shares) cut(caller string, list []usage.Denial, now time.Time) []usage.Denial {
	if len(list) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if minute := now.Truncate(time.Minute); s.of == nil || !minute.Equal(s.minute) {
		s.seed, s.minute, s.of = maphash.MakeSeed(), minute, map[string]map[uint64]struct{}{}
	}
	added := s.added(caller)
	return slices.DeleteFunc(list, func(d usage.Denial) bool {
		sum := maphash.Comparable(s.seed, denialRow{d.Minute.Unix(), d.Code, d.KeyID, d.Proved, d.Source, d.Audience, d.Scope})
		if _, ok := added[sum]; ok {
			return false
		}
		if len(added) >= maxDenialRows {
			return true
		}
		added[sum] = struct{}{}
		return false
	})
}

// added returns the sums of caller, or the common ones of all verify keys above the limit.
func (s *shares) added(caller string) map[uint64]struct{} {
	if s.of[caller] == nil && len(s.of) >= maxDenying {
		caller = ""
	}
	sums := s.of[caller]
	if sums == nil {
		sums = map[uint64]struct{}{}
		s.of[caller] = sums
	}
	return sums
}
