package mcphttp_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/dev/guardtest"
	"github.com/mcpkeys/mcpkeys/middleware/mcphttp"
)

// BenchmarkCall is a call over loopback to a small server: through a reverse proxy, and through
// the same proxy behind a guard.
func BenchmarkCall(b *testing.B) {
	upstream := httptest.NewServer(echo())
	defer upstream.Close()
	to, _ := url.Parse(upstream.URL)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, FlushInterval: -1,
		Transport: &http.Transport{MaxIdleConnsPerHost: 100},
	}
	k := guardtest.NewKeyring(b)
	token := k.Granted("tools:add")
	body := []byte(callOf(legacy, "add").body)
	for name, h := range map[string]http.Handler{"proxy": proxy, "guarded": mcphttp.Handler(k.Guard(nil), proxy, nil)} {
		b.Run(name, func(b *testing.B) {
			srv := httptest.NewServer(h)
			defer srv.Close()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r, _ := http.NewRequest(http.MethodPost, srv.URL, bytes.NewReader(body))
					r.Header.Set("Content-Type", "application/json")
					r.Header.Set("Authorization", "Bearer "+token)
					resp, err := client.Do(r)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					if resp.StatusCode != http.StatusOK {
						b.Errorf("got %d", resp.StatusCode)
						return
					}
				}
			})
		})
	}
}
