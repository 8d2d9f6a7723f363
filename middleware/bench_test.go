package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
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
	benchmarkAdmit(b, k.Guard(nil), k.Granted(guardtest.Needed))
}

// With a limit the answer tells of it in two fields.
func BenchmarkAdmitLimited(b *testing.B) {
	k := guardtest.NewKeyring(b)
	token, _ := k.Issue(keys.IssueRequest{Scopes: []string{guardtest.Needed}, RateLimit: keys.RateLimit{Count: 100_000_000, Window: time.Second, Burst: 100_000_000}})
	benchmarkAdmit(b, k.Guard(nil), token)
}

// Behind two proxies the caller's address is read from a header.
func BenchmarkAdmitForwarded(b *testing.B) {
	k := guardtest.NewKeyring(b)
	proxies := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("10.0.0.0/8")}
	benchmarkAdmit(b, k.Guard(&middleware.Options{TrustedProxies: proxies}), k.Granted(guardtest.Needed))
}

func benchmarkAdmit(b *testing.B, guard *middleware.Guard, token string) {
	h := guard.Require(guardtest.Needed)(ok)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = http.Header{"Accept": {"*/*"}, "User-Agent": {"Go-http-client/1.1"}, "Accept-Encoding": {"gzip"}, "X-Forwarded-For": {"198.51.100.7, 10.0.0.1"}}
	credential := []string{"Bearer " + token}
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		r.Header["Authorization"] = credential // the guard took it away
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
