package store

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// Supersede returns a key's superseded secrets after a change at now, the newest first: the
// known ones without the ones that are too old, and the secrets in before but not in after.
// Imported ones never become too old, and do not count. If the grace of a secret had passed
// before now, the end of the grace is its end.
func Supersede(known []keys.Superseded, before, after []keys.KeySecret, now time.Time) []keys.Superseded {
	has := func(secrets []keys.KeySecret, number int64) bool {
		return slices.ContainsFunc(secrets, func(s keys.KeySecret) bool { return s.Number == number })
	}
	list := slices.DeleteFunc(slices.Clone(known), func(s keys.Superseded) bool {
		return s.Lookup == nil && !s.Kept(now) || has(before, s.Number) || has(after, s.Number)
	})
	for _, s := range before {
		if has(after, s.Number) {
			continue
		}
		list = append(list, keys.Superseded{
			Number: s.Number, Scheme: s.Scheme, PepperID: s.PepperID, Digest: bytes.Clone(s.Digest), Lookup: bytes.Clone(s.Lookup),
			EndedAt: keys.Earliest(s.ExpiresAt, keys.StoredTime(now)),
		})
	}
	slices.SortFunc(list, func(a, b keys.Superseded) int { return cmp.Compare(b.Number, a.Number) })
	kept := 0
	return slices.DeleteFunc(list, func(s keys.Superseded) bool {
		if s.Lookup == nil {
			kept++
		}
		return s.Lookup == nil && kept > keys.MaxSuperseded
	})
}
