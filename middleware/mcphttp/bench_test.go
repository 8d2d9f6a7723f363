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

// BenchmarkInProcess is one short tools/call without a network: to a server that answers at once, and to
// the same one behind a guard.
func BenchmarkInProcess(b *testing.B) {
	for _, version := range eras {
		plain, guarded := pair(b, version)
		guardtest.BenchmarkBeside(b, version, plain, guarded)
	}
}

// pair sends the same tools/call to a server without a guard and with one.
func pair(t testing.TB, version string) (plain, guarded func()) {
	k := guardtest.NewKeyring(t)
	token := k.Granted("tools:add")
	return sender(t, http.HandlerFunc(quick), version, token), sender(t, mcphttp.Handler(k.Guard(nil), http.HandlerFunc(quick), nil), version, token)
}

var ranAdd = []byte(`{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"ran add"}]}}`)

// quick answers each call in the same way.
func quick(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	if r.Header.Get("Mcp-Protocol-Version") == "" {
		h["Mcp-Session-Id"] = []string{"session"}
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"`+legacy+`","capabilities":{}}}`)
		return
	}
	_, _ = w.Write(ranAdd)
}

// sender returns a function that sends one tools/call to h, in a session if the version has them.
func sender(t testing.TB, h http.Handler, version, token string) func() {
	t.Helper()
	p := &guardtest.InProcess{Handler: h, Header: http.Header{
		"Authorization": {"Bearer " + token}, "User-Agent": {"bench/1"},
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
	}}
	if version >= modern {
		p.Header.Set("Mcp-Method", "tools/call")
		p.Header.Set("Mcp-Name", "add")
	} else {
		_, header, _ := p.Post([]byte(initialize))
		p.Header.Set("Mcp-Session-Id", header.Get("Mcp-Session-Id"))
	}
	p.Header.Set("Mcp-Protocol-Version", version)
	body, want := []byte(callOf(version, "add").body), []byte("ran add")
	return func() {
		if status, _, answer := p.Post(body); !bytes.Contains(answer, want) {
			t.Fatalf("call: got %d %s", status, answer)
		}
	}
}

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
