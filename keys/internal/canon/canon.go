// Package canon renders values for hashing: no two different sequences of calls give the
// same bytes. Seals of rows and the hashes of audit rows are made of it, so its bytes
// must never change.
package canon

import (
	"encoding/binary"
	"time"
)

// Text is append-only. The zero Text is ready for use.
type Text []byte

// Number appends the bits of n, eight bytes.
func (b *Text) Number(n int64) { *b = binary.BigEndian.AppendUint64(*b, uint64(n)) } //nolint:gosec // the bits, not the value

// Text appends s with its length before it.
func (b *Text) Text(s string) {
	b.Number(int64(len(s)))
	*b = append(*b, s...)
}

// Texts appends list with its count before it.
func (b *Text) Texts(list []string) {
	b.Number(int64(len(list)))
	for _, s := range list {
		b.Text(s)
	}
}

// Time appends a flag, because "not set" is not an instant, and then microseconds.
func (b *Text) Time(t time.Time) {
	if t.IsZero() {
		*b = append(*b, 0)
		return
	}
	*b = append(*b, 1)
	b.Number(t.UnixMicro())
}
