package pepper

import (
	"maps"
	"slices"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/internal/canon"
)

// sealFormat changes with what sealedText renders, and is its first number.
const sealFormat = 1

// Seal binds k, as it is now, to the current pepper.
func (p *Set) Seal(k *keys.Key) {
	mac := p.current.row(p.sealedText(k))
	k.Seal = keys.Seal{Format: sealFormat, PepperID: p.current.id, MAC: mac[:]}
}

// CheckSeal returns [keys.ErrTampered] unless k is exactly what was sealed.
func (p *Set) CheckSeal(k *keys.Key) error {
	pepper, ok := p.byID[k.Seal.PepperID]
	if !ok || k.Seal.Format != sealFormat || !pepper.row(p.sealedText(k)).Equal(k.Seal.MAC) {
		return keys.ErrTampered
	}
	return nil
}

// sealedText renders k, as a key of the peppers' store, unambiguously: every field in a
// fixed order, every text with its length, every list with its count. Two different keys
// never render alike.
func (p *Set) sealedText(k *keys.Key) string {
	b := make(canon.Text, 0, 512)
	b.Number(sealFormat)
	b.Text(string(p.store[:]))
	for _, text := range []string{k.ID, string(k.Kind), k.Name, k.Owner, k.CreatedBy, k.RevokedReason} {
		b.Text(text)
	}
	b.Text(string(k.OwnerID))
	b.Text(string(k.Batch))
	b.Texts(k.Scopes)
	b.Texts(k.Audience)
	b.Number(int64(len(k.AllowedIPs)))
	for _, p := range k.AllowedIPs {
		b.Text(p.String())
	}
	for _, n := range []int64{
		int64(k.RateLimit.Count), int64(k.RateLimit.Window), int64(k.RateLimit.Burst),
		int64(k.MaxConcurrent), int64(k.MaxKeyLife), int64(k.FinishWhenQuiet),
	} {
		b.Number(n)
	}
	if b.Number(int64(len(k.Metadata))); len(k.Metadata) > 0 {
		for _, name := range slices.Sorted(maps.Keys(k.Metadata)) {
			b.Text(name)
			b.Text(k.Metadata[name])
		}
	}
	for _, t := range []time.Time{k.CreatedAt, k.ExpiresAt, k.DisabledAt, k.RevokedAt} {
		b.Time(t)
	}
	b.Number(k.Version)
	b.Number(int64(len(k.Secrets)))
	for i := range k.Secrets {
		sealSecret(&b, &k.Secrets[i])
	}
	return string(b)
}

// sealSecret appends all that is kept of a secret.
func sealSecret(b *canon.Text, s *keys.KeySecret) {
	b.Number(s.Number)
	b.Text(string(s.Scheme))
	b.Text(s.PepperID)
	b.Text(string(s.Digest))
	b.Text(string(s.Lookup))
	b.Time(s.CreatedAt)
	b.Time(s.ExpiresAt)
}

// Reseal seals k with the current pepper if its seal is of another pepper and intact. It
// reports whether it did. It leaves a broken seal: a new one would accept what was written
// without the pepper.
func (p *Set) Reseal(k *keys.Key) bool {
	if k.Seal.PepperID == p.current.id || p.CheckSeal(k) != nil {
		return false
	}
	p.Seal(k)
	return true
}
