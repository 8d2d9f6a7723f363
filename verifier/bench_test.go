package verifier_test

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
	"github.com/mcpkeys/mcpkeys/verifier"
)

func benchTokens(b *testing.B, n int) (*verifier.Verifier, []string) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "keys.db")
	if err := sqlite.Create(path, nil); err != nil {
		b.Fatal(err)
	}
	store, err := sqlite.Open(path, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	m, _ := keys.NewManager(store, "bench", nil)
	var tokens []string
	for i := range n {
		issued, err := m.Issue(b.Context(), keys.IssueRequest{
			Name: fmt.Sprintf("key-%d", i), Scopes: []string{"tools:get_*", "prompts:*"},
			RateLimit: keys.RateLimit{Count: 100_000_000, Window: time.Second, Burst: 100_000_000},
		})
		if err != nil {
			b.Fatal(err)
		}
		tokens = append(tokens, issued.Token.Reveal())
	}
	v, err := verifier.New(store, nil)
	if err != nil {
		b.Fatal(err)
	}
	return v, tokens
}

func BenchmarkFloorSHA256Map(b *testing.B) {
	_, tokens := benchTokens(b, 1)
	m := map[string]*int{}
	for i := range 1000 {
		m[fmt.Sprintf("%012d", i)] = new(int)
	}
	id := tokens[0][5:17]
	m[id] = new(int)
	b.ReportAllocs()
	for b.Loop() {
		var text [54]byte
		copy(text[:], tokens[0])
		sum := sha256.Sum256(text[:])
		if m[id] == nil || sum[0] == sum[1] && sum[2] == sum[3] && sum[4] == sum[5] && sum[6] == sum[7] {
			b.Fatal("no")
		}
	}
}

func BenchmarkVerifyHit(b *testing.B) {
	v, tokens := benchTokens(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		d := v.Authenticate(b.Context(), tokens[0], verifier.Call{Audience: "weather"})
		if !d.Valid() || !d.Identity.Allows("tools:get_forecast") {
			b.Fatal(d.Code, d.Cause)
		}
	}
}

func BenchmarkVerifyHitParallel(b *testing.B) {
	v, tokens := benchTokens(b, 64)
	var next atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		token := tokens[int(next.Add(1))%len(tokens)]
		for pb.Next() {
			if !v.Authenticate(b.Context(), token, verifier.Call{}).Valid() {
				b.Fatal("refused")
			}
		}
	})
}

func BenchmarkVerifyJunk(b *testing.B) {
	v, tokens := benchTokens(b, 1)
	junk := tokens[0][:20] + "x" + tokens[0][21:]
	other := "mcpk_000000000000" + junk[17:]
	b.ReportAllocs()
	for b.Loop() {
		if v.Authenticate(b.Context(), other, verifier.Call{}).Code != keys.CodeMalformed {
			b.Fatal("not refused")
		}
	}
}

// BenchmarkHold is what a short request pays for being held, and BenchmarkRecheck what
// each write to a held one pays.
func BenchmarkHold(b *testing.B) {
	v, tokens := benchTokens(b, 1)
	d := v.Authenticate(b.Context(), tokens[0], verifier.Call{})
	b.ReportAllocs()
	for b.Loop() {
		v.Hold(d, verifier.Call{}, func(keys.Code) {})()
	}
}

func BenchmarkRecheck(b *testing.B) {
	v, tokens := benchTokens(b, 1)
	d := v.Authenticate(b.Context(), tokens[0], verifier.Call{})
	b.ReportAllocs()
	for b.Loop() {
		if v.Recheck(d, verifier.Call{}) != keys.CodeValid {
			b.Fatal("not valid")
		}
	}
}
