package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/guardtest"
)

// The guard's cost on a plain handler over loopback: compare the first two. The third is
// the guard alone, without a network; most of it is the look-up of the key.
func BenchmarkUnguarded(b *testing.B) { benchmarkLoopback(b, ok, "none") }

func BenchmarkGuard(b *testing.B) {
	k := guardtest.NewKeyring(b)
	benchmarkLoopback(b, k.Guard(nil).Require(guardtest.Needed)(ok), k.Granted(guardtest.Needed))
}

func BenchmarkAdmit(b *testing.B) {
	k := guardtest.NewKeyring(b)
	h, token := k.Guard(nil).Require(guardtest.Needed)(ok), k.Granted(guardtest.Needed)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		r.Header = http.Header{"Authorization": {"Bearer " + token}, "Accept": {"*/*"}, "User-Agent": {"Go-http-client/1.1"}, "Accept-Encoding": {"gzip"}}
		h.ServeHTTP(w, r)
	}
	if w.Code != http.StatusOK {
		b.Fatalf("status: got %d, want 200", w.Code)
	}
}

func benchmarkLoopback(b *testing.B, h http.Handler, token string) {
	srv := httptest.NewServer(h)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, _ := http.NewRequest(http.MethodGet, srv.URL, nil)
			r.Header.Set("Authorization", "Bearer "+token)
			resp, err := client.Do(r)
			if err != nil || resp.StatusCode != http.StatusOK {
				b.Errorf("GET: %v, %v", resp, err)
				return
			}
			_ = resp.Body.Close()
		}
	})
}
