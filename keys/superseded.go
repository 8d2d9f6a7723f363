package keys

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// SupersededKept is how long a secret that a rotation ended is recognised, and
// MaxSuperseded how many of one key are. Imported ones are kept for as long as their pepper
// is: an import must find that their tokens have ended.
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
// after. Imported ones neither grow too old nor count. The newest come first. A secret whose grace was over had ended then.
func Supersede(known []Superseded, before, after []KeySecret, now time.Time) []Superseded {
	has := func(secrets []KeySecret, number int64) bool {
		return slices.ContainsFunc(secrets, func(s KeySecret) bool { return s.Number == number })
	}
	list := slices.DeleteFunc(slices.Clone(known), func(s Superseded) bool {
		return s.Lookup == nil && !s.recent(now) || has(before, s.Number) || has(after, s.Number)
	})
	for _, s := range before {
		if has(after, s.Number) {
			continue
		}
		list = append(list, Superseded{
			Number: s.Number, Scheme: s.Scheme, PepperID: s.PepperID, Digest: bytes.Clone(s.Digest), Lookup: bytes.Clone(s.Lookup),
			EndedAt: earliest(s.ExpiresAt, wallClock(now)),
		})
	}
	slices.SortFunc(list, func(a, b Superseded) int { return cmp.Compare(b.Number, a.Number) })
	kept := 0
	return slices.DeleteFunc(list, func(s Superseded) bool {
		if s.Lookup == nil {
			kept++
		}
		return s.Lookup == nil && kept > MaxSuperseded
	})
}

func (s *Superseded) recent(now time.Time) bool { return now.Sub(s.EndedAt) < SupersededKept }

// Superseded finds the one of list that token proves, or nil. It costs what a comparison
// with one secret costs, also when list is empty: so a key that was rotated does not
// differ by that from one that never was. Secrets under a slow hash are passed over.
func (p *Peppers) Superseded(list []Superseded, token Secret, now time.Time) *Superseded {
	text := token.Reveal()
	digests := map[string]Digest{p.current.id + string(SchemeHMAC): p.current.digest(text)}
	var found *Superseded
	for i := range list {
		s := &list[i]
		pepper, ok := p.byID[s.PepperID]
		if !ok || s.Scheme.Slow() || !s.recent(now) {
			continue
		}
		made := s.PepperID + string(s.Scheme)
		digest, ok := digests[made]
		if !ok {
			digest = pepper.fast(s.Scheme, text)
			digests[made] = digest
		}
		if digest.Equal(s.Digest) {
			found = s
		}
	}
	return found
}
