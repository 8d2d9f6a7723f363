package keys

import "crypto/rand"

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// randomBase62 returns n characters drawn evenly from base62. It draws six bits
// at a time and rejects the two values past 61: taking a byte modulo 62 would
// favour the first eight digits.
func randomBase62(n int) string {
	out := make([]byte, 0, n)
	var pool [64]byte
	for len(out) < n {
		_, _ = rand.Read(pool[:]) // documented to never fail: it ends the program instead
		for _, b := range pool {
			if v := b & 0x3f; v < 62 && len(out) < n {
				out = append(out, base62[v])
			}
		}
	}
	return string(out)
}

// base62Digits writes v as exactly len(dst) base62 digits, zero-padded.
func base62Digits(dst []byte, v uint32) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = base62[v%62]
		v /= 62
	}
}

// isBase62 looks each byte up and never stops early. A comparison of ranges branches
// where nobody can foresee it, in text that is random: that made refusing junk take
// half as long again.
func isBase62(s string) bool {
	var strange byte
	for i := range len(s) {
		strange |= outside[s[i]]
	}
	return strange == 0
}

func notBase62(r rune) bool { return r > 'z' || !isBase62(string(r)) }

// outside is 0 for the bytes of base62, and 1 for all others.
var outside = func() (table [256]byte) {
	for i := range table {
		table[i] = 1
	}
	for i := range len(base62) {
		table[base62[i]] = 0
	}
	return table
}()
