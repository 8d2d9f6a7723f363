package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/middleware"
)

// The cost of the guard, without a network; internal/dev/bench compares it with a handler
// without a guard, over loopback.
func BenchmarkAdmit(b *testing.B) {
	k := guardtest.NewKeyring(b)
	benchmarkAdmit(b, k.Guard(nil), k.Granted(guardtest.Needed))
}

// With a limit, the answer has two more fields.
func BenchmarkAdmitLimited(b *testing.B) {
	k := guardtest.NewKeyring(b)
	token, _ := k.Issue(admin.IssueRequest{Scopes: []string{guardtest.Needed}, RateLimit: keys.RateLimit{Count: 100_000_000, Window: time.Second, Burst: 100_000_000}})
	benchmarkAdmit(b, k.Guard(nil), token)
}

// Behind two proxies the client's address is read from a header.
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
		r.Header["Authorization"] = credential // the guard removed it
		h.ServeHTTP(w, r)
	}
	if w.Code != http.StatusOK {
		b.Fatalf("status: got %d, want 200", w.Code)
	}
}

// The cost of holding a short request, and of one more check at each write.
func BenchmarkHold(b *testing.B) {
	k := guardtest.NewKeyring(b)
	g, token := k.Guard(nil), k.Granted()
	ctx := admit(b, g, token)
	b.ReportAllocs()
	for b.Loop() {
		_, release := g.Hold(ctx)
		release()
	}
}

func BenchmarkRecheck(b *testing.B) {
	k := guardtest.NewKeyring(b)
	g, token := k.Guard(nil), k.Granted()
	ctx := admit(b, g, token)
	b.ReportAllocs()
	for b.Loop() {
		if err := g.Recheck(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
