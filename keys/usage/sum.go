package usage

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// ParseSince reads a start time: a duration before now such as 24h or 7d, a date (its
// first instant in UTC), or an RFC 3339 time. Empty means [DefaultSince] ago. The error is an
// [*keys.InvalidError] of the field since.
func ParseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now.Add(-DefaultSince), nil
	}
	if d, err := keys.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, keys.Invalid("since", "must be a duration (24h, 7d), a date (2027-01-31) or an RFC 3339 time")
}

// Outcome is how often a key was used with one outcome.
type Outcome struct {
	Code  keys.Code
	Calls int64
}

// Scope is how often one scope was required of a key.
type Scope struct {
	Scope           string
	Allowed, Denied int64
}

// Calls is how often the key was used, whatever the outcome.
func (u Usage) Calls() int64 {
	var n int64
	for _, c := range u.Counts {
		if c.Scope == "" {
			n = add(n, c.Calls)
		}
	}
	return n
}

// Outcomes sums up requests by outcome, the most frequent first.
func (u Usage) Outcomes() []Outcome {
	sums := map[keys.Code]int64{}
	for _, c := range u.Counts {
		if c.Scope == "" {
			sums[c.Code] = add(sums[c.Code], c.Calls)
		}
	}
	list := make([]Outcome, 0, len(sums))
	for code, calls := range sums {
		list = append(list, Outcome{code, calls})
	}
	slices.SortFunc(list, func(a, b Outcome) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Code, b.Code))
	})
	return list
}

// Scopes sums up checks by scope, the most frequent first. Codes other than [keys.CodeValid]
// are denials.
func (u Usage) Scopes() []Scope {
	sums := map[string]Scope{}
	for _, c := range u.Counts {
		if c.Scope == "" {
			continue
		}
		s := sums[c.Scope]
		s.Scope = c.Scope
		if c.Code == keys.CodeValid {
			s.Allowed = add(s.Allowed, c.Calls)
		} else {
			s.Denied = add(s.Denied, c.Calls)
		}
		sums[c.Scope] = s
	}
	list := make([]Scope, 0, len(sums))
	for _, s := range sums {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Scope) int {
		return cmp.Or(cmp.Compare(add(b.Allowed, b.Denied), add(a.Allowed, a.Denied)), cmp.Compare(a.Scope, b.Scope))
	})
	return list
}

// Hourly is the number of requests in each hour, from the hour of since to the hour of now,
// the oldest first. It goes back no further than [Kept], and leaves out counts of days.
func (u Usage) Hourly(since, now time.Time) []int64 {
	last := now.Truncate(time.Hour)
	first := since.Truncate(time.Hour)
	if oldest := last.Add(-Kept); first.Before(oldest) {
		first = oldest
	}
	if last.Before(first) {
		return nil
	}
	hours := make([]int64, last.Sub(first)/time.Hour+1)
	for _, c := range u.Counts {
		if c.Scope != "" || c.Day || c.Hour.Before(first) || c.Hour.After(last) {
			continue
		}
		i := c.Hour.Sub(first) / time.Hour
		hours[i] = add(hours[i], c.Calls)
	}
	return hours
}

// add stops at the largest number, because counts come from a file that may have been
// edited.
func add(a, b int64) int64 {
	if b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}
