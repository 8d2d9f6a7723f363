// Package siphash is SipHash-2-4 with 128 bits, a keyed hash of short texts (Aumasson and
// Bernstein, 2012). Without the key its sums cannot be predicted, and a text with a given sum
// cannot be found. The verifier compares tokens by it, under a key of its process; docs/adr/0014
// says why this is enough there. It is not for anything that is stored, or that another process
// sees.
//
// Make a [Key] with [NewKey], then call [Key.Sum].
package siphash

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Key is a secret key. Two keys have unrelated sums. The zero Key is not secret.
type Key struct{ k0, k1 uint64 }

// NewKey draws a key from crypto/rand.
func NewKey() Key {
	var b [16]byte
	_, _ = rand.Read(b[:]) // documented to never fail
	return keyOf(&b)
}

func keyOf(b *[16]byte) Key {
	return Key{binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])}
}

// Sum is the hash of a text. Compare two with [Sum.Equal], not with ==.
type Sum struct{ low, high uint64 }

// Equal takes the same time wherever the two differ.
func (s *Sum) Equal(other *Sum) bool { return (s.low^other.low)|(s.high^other.high) == 0 }

// Sum hashes text where it is: a conversion would copy it to the heap. It does not allocate.
func (k Key) Sum(text string) (sum Sum) {
	v0, v1, v2, v3 := k.k0^0x736f6d6570736575, k.k1^0x646f72616e646f6d^0xee, k.k0^0x6c7967656e657261, k.k1^0x7465646279746573
	rest := unsafe.Slice(unsafe.StringData(text), len(text)) // is only read, so the string stays what it was
	for len(rest) >= 8 {
		m := binary.LittleEndian.Uint64(rest)
		v3 ^= m
		v0, v1, v2, v3 = round(v0, v1, v2, v3)
		v0, v1, v2, v3 = round(v0, v1, v2, v3)
		v0 ^= m
		rest = rest[8:]
	}
	m := uint64(len(text))<<56 | tail(rest) // the length modulo 256, as SipHash has it
	v3 ^= m
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	v0 ^= m

	v2 ^= 0xee
	for range 4 {
		v0, v1, v2, v3 = round(v0, v1, v2, v3)
	}
	sum.low = v0 ^ v1 ^ v2 ^ v3
	v1 ^= 0xdd
	for range 4 {
		v0, v1, v2, v3 = round(v0, v1, v2, v3)
	}
	sum.high = v0 ^ v1 ^ v2 ^ v3
	return sum
}

// tail is the last bytes, fewer than eight, as one word.
func tail(rest []byte) (m uint64) {
	for i, b := range rest {
		m |= uint64(b) << (8 * i)
	}
	return m
}

// round takes and returns its words, so that the compiler puts it in line and keeps them in
// registers: with a pointer to them, a sum takes three times as long.
func round(v0, v1, v2, v3 uint64) (w0, w1, w2, w3 uint64) {
	v0 += v1
	v2 += v3
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 = bits.RotateLeft64(v0, 32) + v3
	v2 += v1
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v2 = bits.RotateLeft64(v2, 32)
	return v0, v1, v2, v3
}
