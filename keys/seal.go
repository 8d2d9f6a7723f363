package keys

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// Seal is the row_mac of a key: HMAC-SHA-256, under a pepper's row label, over
// the id of the store, every field and every secret's digest. It is written with each change and
// checked where a row enters memory, not per request.
//
// It shows edits by somebody without the pepper. It does not show that a whole
// older row, with its older seal, was put back: the audit chain does.
type Seal struct {
	Format   int64 // how the sealed text is rendered; 1 so far
	PepperID string
	MAC      []byte
}

// sealFormat changes with what sealedText renders, and stands at its beginning.
const sealFormat = 1

// Seal binds k, as it is now, to the current pepper.
func (p *Peppers) Seal(k *Key) {
	mac := p.current.row(p.sealedText(k))
	k.Seal = Seal{Format: sealFormat, PepperID: p.current.id, MAC: mac[:]}
}

// CheckSeal returns [ErrTampered] unless k is exactly what was sealed.
func (p *Peppers) CheckSeal(k *Key) error {
	pepper, ok := p.byID[k.Seal.PepperID]
	if !ok || k.Seal.Format != sealFormat || !pepper.row(p.sealedText(k)).Equal(k.Seal.MAC) {
		return ErrTampered
	}
	return nil
}

// sealedText renders k, as a key of the peppers' store, in one unambiguous way: every field in a fixed order, every
// text with its length before it, every list with its count. Two different keys
// never render alike.
func (p *Peppers) sealedText(k *Key) string {
	b := make(canonical, 0, 512)
	b.number(sealFormat)
	b.text(string(p.store[:]))
	for _, text := range []string{k.ID, string(k.Kind), k.Name, k.Owner, k.CreatedBy, k.RevokedReason} {
		b.text(text)
	}
	b.text(string(k.OwnerID))
	b.text(string(k.Batch))
	b.texts(k.Scopes)
	b.texts(k.Audience)
	b.number(int64(len(k.AllowedIPs)))
	for _, p := range k.AllowedIPs {
		b.text(p.String())
	}
	for _, n := range []int64{
		int64(k.RateLimit.Count), int64(k.RateLimit.Window), int64(k.RateLimit.Burst),
		int64(k.MaxConcurrent), int64(k.MaxKeyLife), int64(k.FinishWhenQuiet),
	} {
		b.number(n)
	}
	b.number(int64(len(k.Metadata)))
	for _, name := range slices.Sorted(maps.Keys(k.Metadata)) {
		b.text(name)
		b.text(k.Metadata[name])
	}
	for _, t := range []time.Time{k.CreatedAt, k.ExpiresAt, k.DisabledAt, k.RevokedAt} {
		b.time(t)
	}
	b.number(k.Version)
	b.number(int64(len(k.Secrets)))
	for i := range k.Secrets {
		b.secret(&k.Secrets[i])
	}
	return string(b)
}

// canonical is an append-only encoding in which no two different sequences of
// calls give the same bytes.
type canonical []byte

func (b *canonical) number(n int64) { *b = binary.BigEndian.AppendUint64(*b, uint64(n)) } //nolint:gosec // the bits, not the value

func (b *canonical) text(s string) {
	b.number(int64(len(s)))
	*b = append(*b, s...)
}

func (b *canonical) texts(list []string) {
	b.number(int64(len(list)))
	for _, s := range list {
		b.text(s)
	}
}

// time writes a flag first: "not set" is no instant.
func (b *canonical) time(t time.Time) {
	if t.IsZero() {
		*b = append(*b, 0)
		return
	}
	*b = append(*b, 1)
	b.number(t.UnixMicro())
}

func (b *canonical) secret(s *KeySecret) {
	b.number(s.Number)
	b.text(string(s.Scheme))
	b.text(s.PepperID)
	b.text(string(s.Digest))
	b.text(string(s.Lookup))
	b.time(s.CreatedAt)
	b.time(s.ExpiresAt)
}
