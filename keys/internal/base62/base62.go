// Package base62 is the alphabet of tokens and ids: digits, capitals, small letters.
// [Random] draws text from it without a bias, and [Is] recognises it. Its characters never
// need an escape, and a double click selects all of it.
package base62

import "crypto/rand"

// Alphabet holds the digits in the order of their values.
const Alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Random returns n characters drawn evenly from the alphabet. It draws six bits
// at a time and rejects the two values past 61: taking a byte modulo 62 would
// favour the first eight digits.
func Random(n int) string {
	out := make([]byte, 0, n)
	var pool [64]byte
	for len(out) < n {
		_, _ = rand.Read(pool[:]) // documented to never fail: it ends the program instead
		for _, b := range pool {
			if v := b & 0x3f; v < 62 && len(out) < n {
				out = append(out, Alphabet[v])
			}
		}
	}
	return string(out)
}

// Digits writes v as exactly len(dst) digits, zero-padded.
func Digits(dst []byte, v uint32) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = Alphabet[v%62]
		v /= 62
	}
}

// Is reports whether s has only digits. It looks each byte up and never stops early.
// Comparing ranges would take half as long again for random text, because its branches
// are unpredictable.
func Is(s string) bool {
	var strange byte
	for i := range len(s) {
		strange |= outside[s[i]]
	}
	return strange == 0
}

// IsOther reports whether r is not a digit.
func IsOther(r rune) bool { return r > 'z' || !Is(string(r)) }

// outside is 0 for the bytes of base62, and 1 for all others.
var outside = func() (table [256]byte) {
	for i := range table {
		table[i] = 1
	}
	for i := range len(Alphabet) {
		table[Alphabet[i]] = 0
	}
	return table
}()
