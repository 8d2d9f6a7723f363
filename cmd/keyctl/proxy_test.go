package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mcpkeys/mcpkeys/internal/base/forwardauth"
	"github.com/mcpkeys/mcpkeys/internal/base/idheader"
)

// cmdProxy starts a proxy in front of the address BEHIND, which asks SERVER, and puts its
// address into PROXY. A leaky one passes all headers of the client on.
func cmdProxy(ts *testscript.TestScript, neg bool, args []string) {
	leaky := len(args) == 1 && args[0] == "leaky"
	if neg || len(args) > 0 && !leaky {
		ts.Fatalf("usage: proxy [leaky]")
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	ts.Check(err)
	behind := l.Addr().String()
	ts.Check(l.Close()) // free for doctor
	pass := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: behind})
	pass.FlushInterval = -1
	target := ts.Getenv("SERVER") + forwardauth.Prefix + "?audience=weather"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := http.NewRequestWithContext(r.Context(), http.MethodGet, target, nil)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		q.Header = r.Header.Clone()
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		q.Header.Set("X-Forwarded-For", client)
		a, err := http.DefaultTransport.RoundTrip(q)
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_ = a.Body.Close()
		if a.StatusCode != http.StatusOK {
			for _, name := range []string{"Www-Authenticate", "Retry-After"} {
				w.Header()[name] = a.Header[name]
			}
			w.WriteHeader(a.StatusCode)
			return
		}
		if !leaky {
			r.Header.Del("Authorization")
			r.Header.Del("X-Api-Key")
			for name := range r.Header {
				if strings.Contains(name, "_") {
					delete(r.Header, name)
				}
			}
			for _, name := range idheader.Names() {
				r.Header[name] = a.Header[name]
			}
		}
		pass.ServeHTTP(w, r)
	}))
	ts.Defer(s.Close)
	ts.Setenv("PROXY", s.URL)
	ts.Setenv("BEHIND", behind)
}
