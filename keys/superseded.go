package keys

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// SupersededKept is how long a secret that a rotation ended is recognised, and
// MaxSuperseded how many of one key are.
const (
	SupersededKept = 30 * 24 * time.Hour
	MaxSuperseded  = 8
)

// Superseded is what is kept of a secret that a rotation ended, so that a log can say of
// a client that it still presents that secret. It authorises nothing: no decision about
// a request reads it before all secrets of the key have failed. It is not sealed, because
// a row that somebody adds can only change the word in a log.
type Superseded struct {
	Number   int64
	Scheme   Scheme
	PepperID string
	Digest   []byte
	Lookup   []byte // as in [KeySecret]
	EndedAt  time.Time
}

// Supersede returns what a change at now makes of a key's superseded secrets: those that
// were, without the ones that are too old, and the secrets of before that are not among
// after. The newest come first. A secret whose grace was over had ended then.
func Supersede(known []Superseded, before, after []KeySecret, now time.Time) []Superseded {
	has := func(secrets []KeySecret, number int64) bool {
		return slices.ContainsFunc(secrets, func(s KeySecret) bool { return s.Number == number })
	}
	list := slices.DeleteFunc(slices.Clone(known), func(s Superseded) bool {
		return !s.Kept(now) || has(before, s.Number) || has(after, s.Number)
	})
	for _, s := range before {
		if has(after, s.Number) {
			continue
		}
		list = append(list, Superseded{
			Number: s.Number, Scheme: s.Scheme, PepperID: s.PepperID, Digest: bytes.Clone(s.Digest), Lookup: bytes.Clone(s.Lookup),
			EndedAt: Earliest(s.ExpiresAt, StoredTime(now)),
		})
	}
	slices.SortFunc(list, func(a, b Superseded) int { return cmp.Compare(b.Number, a.Number) })
	return list[:min(len(list), MaxSuperseded)]
}

// Kept reports whether s is recent enough to be recognised at now.
func (s *Superseded) Kept(now time.Time) bool { return now.Sub(s.EndedAt) < SupersededKept }
