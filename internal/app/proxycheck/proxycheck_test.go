package proxycheck_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/doctor"
	"github.com/mcpkeys/mcpkeys/internal/app/proxycheck"
	"github.com/mcpkeys/mcpkeys/internal/base/forwardauth"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
)

// flaws are what a proxy does wrong. The zero value is right.
type flaws struct {
	open        bool        // asks nothing
	openMethods []string    // asks nothing for these
	target      string      // asks this instead of /v1/forward-auth?audience=weather
	becomes     map[int]int // makes other statuses of these
	drops       []string    // headers of denials that the client does not get
	showsKey    bool        // the server sees the key
	believes    string      // an identity header of the client that stays
	anonymous   bool        // the server learns no identity
	underscores bool        // passes headers with underscores on
	buffers     bool        // holds answers back until they end
	dropsBody   bool        // passes no body on
	noXAPIKey   bool        // asks with Authorization only
	remembers   bool        // keeps answers
	unreachable bool        // does not reach keyctl serve
}

// proxy is a reverse proxy in front of the server behind, which asks the API at auth.
func (f *flaws) proxy(t *testing.T, auth, behind string) *httptest.Server {
	to, _ := url.Parse(behind)
	remembered := new(sync.Map) // by key
	target := f.target
	if target == "" {
		target = forwardauth.Prefix + "?audience=weather"
	}
	pass := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		if f.dropsBody {
			r.Out.Body, r.Out.ContentLength = nil, 0
		}
	}}
	if f.buffers {
		pass.FlushInterval = time.Hour
		pass.ModifyResponse = func(res *http.Response) error {
			text, err := io.ReadAll(res.Body)
			res.Body = io.NopCloser(strings.NewReader(string(text)))
			return err
		}
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.unreachable {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if !f.open && !slices.Contains(f.openMethods, r.Method) && !f.ask(t, w, r, auth+target, remembered) {
			return
		}
		if !f.showsKey {
			r.Header.Del("Authorization")
			r.Header.Del("X-Api-Key")
		}
		if !f.underscores {
			for name := range r.Header {
				if strings.Contains(name, "_") {
					delete(r.Header, name)
				}
			}
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// ask asks about r, and answers it unless it may pass. It puts keys that may into remembered.
func (f *flaws) ask(t *testing.T, w http.ResponseWriter, r *http.Request, target string, remembered *sync.Map) bool {
	key := r.Header.Get("Authorization")
	if _, ok := remembered.Load(key); ok && f.remembers {
		return true
	}
	q, err := http.NewRequestWithContext(r.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Error(err)
		return false
	}
	q.Header = r.Header.Clone()
	if f.noXAPIKey {
		q.Header.Del("X-Api-Key")
	}
	a, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return false
	}
	defer func() { _ = a.Body.Close() }()
	if a.StatusCode != http.StatusOK {
		for name, values := range a.Header {
			if !slices.Contains(f.drops, name) {
				w.Header()[name] = values
			}
		}
		status := a.StatusCode
		if other := f.becomes[status]; other != 0 {
			status = other
		}
		w.WriteHeader(status)
		_, _ = io.Copy(w, a.Body)
		return false
	}
	remembered.Store(key, true)
	for _, name := range forwardauth.Headers() {
		switch {
		case f.anonymous:
			r.Header.Del(name)
		case name != f.believes:
			r.Header[name] = a.Header[name]
		}
	}
	return true
}

// subject has all keys, and the server behind unless it is not ours.
func subject(t *testing.T, f *servertest.Fixture) proxycheck.Subject {
	valid, id := f.Issue(admin.IssueRequest{Owner: "Zoë, ops", Audience: []string{"weather"}, Scopes: []string{"tools:get_*"}})
	elsewhere, _ := f.Issue(admin.IssueRequest{Audience: []string{"not-weather"}, Scopes: []string{"*"}})
	limited, _ := f.Issue(admin.IssueRequest{Audience: []string{"weather"}, RateLimit: keys.RateLimit{Count: 1, Window: time.Hour, Burst: 1}})
	behind, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return proxycheck.Subject{
		Behind: behind,
		Keys: proxycheck.Keys{
			Valid: keys.NewSecret(valid), Elsewhere: keys.NewSecret(elsewhere), Limited: keys.NewSecret(limited), Admin: keys.NewSecret(f.Admin()),
		},
		Revoke: func(context.Context) error {
			f.Revoke(id)
			return nil
		},
	}
}

// examine returns the findings that are not ok, by check, and the names of all.
func examine(t *testing.T, s proxycheck.Subject) (bad map[string]doctor.Finding, all []string, worst doctor.State) {
	t.Helper()
	bad = map[string]doctor.Finding{}
	worst, err := proxycheck.Examine(t.Context(), s, func(f doctor.Finding) {
		all = append(all, f.Check)
		if f.State != doctor.OK {
			bad[f.Check] = f
		}
		if keys.HoldsToken(f.Says + f.Fix) {
			t.Errorf("%s: the finding has a secret", f.Check)
		}
		if f.State != doctor.OK && f.Fix == "" {
			t.Errorf("%s: the finding does not say what to do", f.Check)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return bad, all, worst
}

// A proxy that is right has only the finding that an outage cannot be played. A proxy with a flaw
// has the findings of that flaw, and no others.
func TestExamine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		flaws flaws
		want  map[string]string // a part of the finding or of what to do, by check
	}{
		{"right", flaws{}, nil},
		{"asks nothing", flaws{open: true}, map[string]string{
			"no-key": "/v1/forward-auth", "invalid-key": "reaches the server", "two-keys": "reaches the server", "head": "reaches", "options": "reaches",
			"audience": "reaches", "admin-key": "reaches", "identity": "believes", "limit": "reaches", "revoked": "reaches",
		}},
		{"asks nothing for HEAD", flaws{openMethods: []string{"HEAD"}}, map[string]string{"head": "every method"}},
		{"asks nothing for OPTIONS", flaws{openMethods: []string{"OPTIONS"}}, map[string]string{"options": "preflights"}},
		{"the audience of another server", flaws{target: forwardauth.Prefix + "?audience=not-weather"}, map[string]string{"audience": "reaches", "valid-key": "compare the audience"}},
		{"asks whoami", flaws{target: "/v1/whoami"}, map[string]string{"audience": "/v1/whoami is not", "admin-key": "/v1/whoami is not", "identity": "does not learn"}},
		{"an invalid URL", flaws{target: forwardauth.Prefix}, map[string]string{
			"no-key": "name one audience", "invalid-key": "name one", "two-keys": "name one", "head": "name one", "options": "name one", "audience": "name one",
			"admin-key": "name one", "valid-key": "name one", "revoked": "name one",
		}},
		{"makes 500 of what nginx does not know", flaws{becomes: map[int]int{400: 500, 429: 500}}, map[string]string{"two-keys": "deny=403", "limit": "deny=403"}},
		{"makes 403 of what nginx is told as 403", flaws{becomes: map[int]int{400: 403, 429: 403}}, map[string]string{"two-keys": "two_credentials", "limit": "@denied"}},
		{"drops WWW-Authenticate", flaws{drops: []string{"Www-Authenticate"}}, map[string]string{
			"no-key": "WWW-Authenticate", "invalid-key": "WWW", "head": "WWW", "options": "WWW", "audience": "WWW", "admin-key": "WWW", "revoked": "WWW",
		}},
		{"drops Retry-After", flaws{drops: []string{"Retry-After"}}, map[string]string{"limit": "Retry-After"}},
		{"shows the key", flaws{showsKey: true}, map[string]string{"secret": "proxy_set_header"}},
		{"believes an owner", flaws{believes: "X-Mcpkeys-Owner"}, map[string]string{"identity": "copy_headers X-Mcpkeys-Owner"}},
		{"believes a key id", flaws{believes: "X-Mcpkeys-Key-Id"}, map[string]string{"identity": "X-Mcpkeys-Key-Id"}},
		{"passes underscores on", flaws{underscores: true}, map[string]string{"identity": "X_Mcpkeys*"}},
		{"passes no identity on", flaws{anonymous: true}, map[string]string{"identity": "does not learn"}},
		{"drops bodies", flaws{dropsBody: true}, map[string]string{"body": "proxy_pass_request_body"}},
		{"buffers", flaws{buffers: true}, map[string]string{"stream": "proxy_buffering"}},
		{"does not send X-API-Key", flaws{noXAPIKey: true}, map[string]string{"x-api-key": "allowed_headers", "two-keys": "401"}},
		{"keeps answers", flaws{remembers: true}, map[string]string{"limit": "proxy_cache", "revoked": "proxy_cache"}},
		{"does not reach keyctl serve", flaws{unreachable: true}, map[string]string{
			"no-key": "start keyctl serve", "invalid-key": "502", "two-keys": "502", "head": "502", "options": "502", "audience": "502", "admin-key": "502", "valid-key": "502", "revoked": "502",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := servertest.New(t)
			s := subject(t, f)
			s.URL = tc.flaws.proxy(t, f.URL, "http://"+s.Behind.Addr().String()).URL + "/mcp"
			if tc.flaws.buffers {
				s.Patience = time.Second // it is waited in full
			}
			got, all, worst := examine(t, s)
			if _, ok := got["outage"]; !ok {
				t.Error("no finding says that an outage was not played")
			}
			delete(got, "outage")
			for check, f := range got {
				if part, ok := tc.want[check]; !ok || !strings.Contains(f.Says+f.Fix, part) {
					t.Errorf("%s: got %q, fix %q; want %q", check, f.Says, f.Fix, part)
				}
			}
			for check := range tc.want {
				if _, ok := got[check]; !ok {
					t.Errorf("no finding for %s, among %q", check, all)
				}
			}
			if bad := len(tc.want) > 0 && tc.name != "passes no identity on"; bad != (worst == doctor.Problem) {
				t.Errorf("worst: got %s", worst)
			}
		})
	}
}

// A scope in the proxy's URL.
func TestExamineScope(t *testing.T) {
	for target, want := range map[string]bool{forwardauth.Prefix + "?audience=weather&scope=tools:get_x": true, "": false} {
		f := servertest.New(t)
		s := subject(t, f)
		s.Keys.Limited = keys.Secret{} // it has no scope
		narrow, _ := f.Issue(admin.IssueRequest{Audience: []string{"weather"}})
		s.Keys.Narrow = keys.NewSecret(narrow)
		s.URL = (&flaws{target: target}).proxy(t, f.URL, "http://"+s.Behind.Addr().String()).URL
		got, all, _ := examine(t, s)
		if _, bad := got["scope"]; bad == want || !slices.Contains(all, "scope") {
			t.Errorf("%s: got %v among %q", target, got["scope"], all)
		}
	}
}

// In front of the real server only answers are seen, and what was not tried is said.
func TestExamineFromOutside(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }))
	t.Cleanup(server.Close)
	for name, tc := range map[string]struct {
		flaws   flaws
		without func(*proxycheck.Subject)
		want    []string
	}{
		"right":                   {want: []string{"behind"}},
		"without keys":            {without: func(s *proxycheck.Subject) { s.Keys, s.Revoke = proxycheck.Keys{}, nil }, want: []string{"behind", "untried"}},
		"with a key of the user":  {without: func(s *proxycheck.Subject) { s.Keys, s.Revoke = proxycheck.Keys{Valid: s.Keys.Valid}, nil }, want: []string{"behind", "untried"}},
		"asks nothing, from here": {flaws: flaws{open: true}, want: []string{"admin-key", "audience", "behind", "head", "invalid-key", "limit", "no-key", "options", "revoked"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := servertest.New(t)
			s := subject(t, f)
			_ = s.Behind.Close()
			s.Behind = nil
			if tc.without != nil {
				tc.without(&s)
			}
			s.URL = tc.flaws.proxy(t, f.URL, server.URL).URL
			got, _, _ := examine(t, s)
			var names []string
			for check := range got {
				if check != "outage" {
					names = append(names, check)
				}
			}
			if slices.Sort(names); !slices.Equal(names, tc.want) {
				t.Errorf("got %q, want %q: %v", names, tc.want, got)
			}
		})
	}
}

// Without a proxy there is one finding, and nothing else is tried.
func TestExamineWithoutProxy(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	bad, all, worst := examine(t, proxycheck.Subject{URL: s.URL})
	if len(all) != 1 || bad["proxy"].State != doctor.Problem || worst != doctor.Problem {
		t.Errorf("got %v, %q, %s", bad, all, worst)
	}
}

// At the end of the context nothing more is reported.
func TestExamineEnds(t *testing.T) {
	f := servertest.New(t)
	s := subject(t, f)
	s.URL = (&flaws{}).proxy(t, f.URL, "http://"+s.Behind.Addr().String()).URL
	ctx, cancel := context.WithCancel(t.Context())
	var all []string
	_, err := proxycheck.Examine(ctx, s, func(f doctor.Finding) {
		if all = append(all, f.Check); len(all) == 3 {
			cancel()
		}
	})
	if len(all) != 3 || !errors.Is(err, context.Canceled) {
		t.Errorf("got %q, %v", all, err)
	}
}

func TestSubject(t *testing.T) {
	for url, want := range map[string]struct{ valid, plain bool }{
		"http://127.0.0.1:8080/mcp": {true, false}, "http://localhost/mcp": {true, false}, "http://[::1]:80": {true, false}, "https://mcp.example.com/mcp": {true, false},
		"http://mcp.example.com": {true, true}, "http://10.0.0.1": {true, true},
		"": {}, "mcp.example.com": {}, "ftp://x/": {}, "http://": {}, "https://user:pw@x/": {valid: false}, "%": {},
	} {
		s := proxycheck.Subject{URL: url}
		if got := s.Check() == nil; got != want.valid {
			t.Errorf("Check %q: got %t", url, got)
		}
		if got := s.IsPlain(); want.valid && got != want.plain {
			t.Errorf("IsPlain %q: got %t", url, got)
		}
	}
}
