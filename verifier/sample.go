package verifier

import (
	"iter"
	"maps"
	"slices"
	"time"
)

// sample is the counters of one minute's refusals. It is replaced, never changed, so that a flood
// of refusals takes no lock; a minute has some hundred counters at the most. Nil has none.
type sample struct {
	from  int64 // when the minute begins, in nanoseconds since 1970
	byKey map[string]*denied
	rest  []*denied // by code: of what is unproved and came after there was room for it
}

// find returns k's counter if now is in the minute, or nil if there is none yet.
func (s *sample) find(k *kind, now int64) *denied {
	if s == nil || now < s.from || now-s.from >= int64(time.Minute) {
		return nil
	}
	if one := s.exactly(k); one != nil || k.proved {
		return one
	}
	for _, one := range s.rest {
		if one.code == k.code {
			return one
		}
	}
	return nil
}

// exactly returns the counter of this kind and no other.
func (s *sample) exactly(k *kind) *denied {
	for one := s.byKey[k.keyID]; one != nil; one = one.next {
		if one.kind == *k {
			return one
		}
	}
	return nil
}

// with returns the sample with one more counter; full says that it has come too late for one of
// its own.
func (s *sample) with(one *denied, full bool) *sample {
	more := &sample{from: s.from, byKey: maps.Clone(s.byKey), rest: s.rest}
	if full && !one.proved {
		more.rest = append(slices.Clip(s.rest), one)
		return more
	}
	if more.byKey == nil {
		more.byKey = map[string]*denied{}
	}
	one.next = more.byKey[one.keyID]
	more.byKey[one.keyID] = one
	return more
}

// scopesOf counts the scopes of a key that are counted separately: a caller without any
// scope can still name every tool.
func (s *sample) scopesOf(keyID string) (count int) {
	for one := s.byKey[keyID]; one != nil; one = one.next {
		if one.scope != "" {
			count++
		}
	}
	return count
}

// all returns all counters.
func (s *sample) all() iter.Seq[*denied] {
	return func(yield func(*denied) bool) {
		if s == nil {
			return
		}
		for _, one := range s.byKey {
			for ; one != nil; one = one.next {
				if !yield(one) {
					return
				}
			}
		}
		for _, one := range s.rest {
			if !yield(one) {
				return
			}
		}
	}
}
