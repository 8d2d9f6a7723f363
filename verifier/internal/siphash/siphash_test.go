package siphash

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// testdata/sums.txt has the sums of the texts 00, 00 01, 00 01 02 … up to 63 bytes under the key
// 00 01 … 0f: the test vectors of the authors, here as OpenSSL computes them.
func TestSum(t *testing.T) {
	b, err := os.ReadFile("testdata/sums.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(string(b))
	if len(want) != 64 {
		t.Fatalf("sums: got %d, want 64", len(want))
	}
	key := keyOf((*[16]byte)(upTo(16)))
	for n := range want {
		if got := text(key.Sum(string(upTo(n)))); got != want[n] {
			t.Errorf("a text of %d bytes: got %s, want %s", n, got, want[n])
		}
	}
}

func upTo(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func text(s Sum) string {
	b := binary.LittleEndian.AppendUint64(nil, s.low)
	return hex.EncodeToString(binary.LittleEndian.AppendUint64(b, s.high))
}

// TestA5SumsAreComparedWhole: two sums that differ in one bit, wherever it is, are two. Texts with
// such sums cannot be made, so no test with tokens would show it.
func TestA5SumsAreComparedWhole(t *testing.T) {
	sum := NewKey().Sum("a text")
	if same := sum; !sum.Equal(&same) {
		t.Error("the sum itself is not equal")
	}
	for bit := range 64 {
		low, high := sum, sum
		low.low ^= 1 << bit
		high.high ^= 1 << bit
		if sum.Equal(&low) || sum.Equal(&high) {
			t.Errorf("a sum that differs in bit %d is equal", bit)
		}
	}
}

func TestKeysDiffer(t *testing.T) {
	one, other := NewKey(), NewKey()
	if one.Sum("a text") == other.Sum("a text") {
		t.Error("two keys have the same sum of a text")
	}
}

func BenchmarkSum(b *testing.B) {
	key, token := NewKey(), strings.Repeat("x", 54)
	b.ReportAllocs()
	for b.Loop() {
		key.Sum(token)
	}
}
