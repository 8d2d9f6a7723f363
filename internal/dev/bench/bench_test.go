package bench_test

import (
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/dev/bench"
)

// BenchmarkCases runs the rows of the table one by one, without their floors: for a profile, as
// in go test -run '^$' -bench /VerifyHit$ -cpuprofile cpu.out.
func BenchmarkCases(b *testing.B) {
	for _, c := range cases(b, 10_000) {
		b.Run(c.Name, func(b *testing.B) {
			b.ReportAllocs()
			if err := c.Run(b.N); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func cases(t testing.TB, size int) []bench.Case {
	t.Helper()
	s, err := bench.Open(t.Context(), t.TempDir(), size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	list, err := s.Cases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}
