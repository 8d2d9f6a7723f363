package proxycheck_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
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
	"github.com/mcpkeys/mcpkeys/internal/base/idheader"
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
	redirects   bool        // sends clients without a valid key to a login page
	spelling    string      // a header of the client that it passes on under this name
	keepsEmpty  bool        // keeps the client's header where the identity has no value
	preflights  int         // answers OPTIONS itself, with this status
	untrusted   bool        // keyctl serve does not believe it about addresses
	claims      bool        // passes on what a client says about its address
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
		if f.preflights != 0 && r.Method == http.MethodOptions {
			w.WriteHeader(f.preflights)
			return
		}
		spelled := r.Header[http.CanonicalHeaderKey(f.spelling)]
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
		if f.spelling != "" {
			r.Header[f.spelling] = spelled
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
	if !f.claims {
		q.Header.Del("X-Forwarded-For")
	}
	if client, _, err := net.SplitHostPort(r.RemoteAddr); err == nil && q.Header.Get("X-Forwarded-For") == "" {
		q.Header.Set("X-Forwarded-For", client)
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
		if f.redirects {
			w.Header().Set("Location", "https://login.example/?from=mcp")
			status = http.StatusFound
		}
		w.WriteHeader(status)
		_, _ = io.Copy(w, a.Body)
		return false
	}
	remembered.Store(key, true)
	for _, name := range idheader.Names() {
		switch {
		case f.anonymous:
			r.Header.Del(name)
		case f.keepsEmpty && a.Header.Get(name) == "": // the client's stays
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
	bare, _ := f.Issue(admin.IssueRequest{Audience: []string{"weather"}})
	bound, _ := f.Issue(admin.IssueRequest{Audience: []string{"weather"}, AllowedIPs: (&proxycheck.Subject{}).OtherAddresses(t.Context())})
	behind, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return proxycheck.Subject{
		Behind: behind,
		Keys: proxycheck.Keys{
			Valid: keys.NewSecret(valid), Bare: keys.NewSecret(bare), Bound: keys.NewSecret(bound),
			Elsewhere: keys.NewSecret(elsewhere), Limited: keys.NewSecret(limited), Admin: keys.NewSecret(f.Admin()),
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
			"no-key": "/v1/forward-auth", "invalid-key": "reaches the server", "two-keys": "reaches the server", "head": "reaches", "options": "reaches", "preflight": "reaches",
			"audience": "reaches", "admin-key": "reaches", "identity": "believes", "limit": "reaches", "revoked": "reaches",
		}},
		{"asks nothing for HEAD", flaws{openMethods: []string{"HEAD"}}, map[string]string{"head": "every method"}},
		{"asks nothing for OPTIONS", flaws{openMethods: []string{"OPTIONS"}}, map[string]string{"options": "preflights", "preflight": "preflights"}},
		{"the audience of another server", flaws{target: forwardauth.Prefix + "?audience=not-weather"}, map[string]string{"audience": "reaches", "valid-key": "compare the audience"}},
		{"asks whoami", flaws{target: "/v1/whoami"}, map[string]string{"audience": "/v1/whoami is not", "admin-key": "/v1/whoami is not", "identity": "does not learn"}},
		{"an invalid URL", flaws{target: forwardauth.Prefix}, map[string]string{
			"no-key": "name one audience", "invalid-key": "name one", "two-keys": "name one", "head": "name one", "options": "name one", "preflight": "name one", "audience": "name one",
			"admin-key": "name one", "valid-key": "name one", "revoked": "name one",
		}},
		{"makes 500 of what nginx does not know", flaws{becomes: map[int]int{400: 500, 429: 500}}, map[string]string{"two-keys": "deny=403", "limit": "deny=403"}},
		{"makes 403 of what nginx is told as 403", flaws{becomes: map[int]int{400: 403, 429: 403}}, map[string]string{"two-keys": "two_credentials", "limit": "@denied"}},
		{"drops WWW-Authenticate", flaws{drops: []string{"Www-Authenticate"}}, map[string]string{
			"no-key": "WWW-Authenticate", "invalid-key": "WWW", "head": "WWW", "options": "WWW", "preflight": "WWW", "audience": "WWW", "admin-key": "WWW", "revoked": "WWW",
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
		{"redirects", flaws{redirects: true}, map[string]string{
			"no-key": "302", "invalid-key": "redirect", "two-keys": "redirect", "head": "redirect", "options": "redirect", "preflight": "redirect", "audience": "redirect",
			"admin-key": "redirect", "address": "redirect", "limit": "redirect", "revoked": "redirect",
		}},
		{"an invalid URL that nginx hides", flaws{target: forwardauth.Prefix, becomes: map[int]int{422: 503}}, map[string]string{
			"no-key": "if both run, compare its URL", "invalid-key": "compare its URL", "two-keys": "compare its URL", "head": "compare its URL", "options": "compare its URL",
			"preflight": "compare its URL", "audience": "compare its URL", "admin-key": "compare its URL", "valid-key": "compare its URL", "revoked": "compare its URL",
		}},
		{"passes a mixed spelling on", flaws{spelling: "X-Mcpkeys_Owner"}, map[string]string{"identity": "X-Mcpkeys_owner"}},
		{"passes another mixed spelling on", flaws{spelling: "X_Mcpkeys-Key_Id"}, map[string]string{"identity": "X_mcpkeys-Key_id"}},
		{"keeps a header where the identity has no value", flaws{keepsEmpty: true}, map[string]string{"no-owner": "before forward_auth"}},
		{"answers preflights itself", flaws{preflights: http.StatusNoContent}, nil},
		{"refuses preflights itself", flaws{preflights: http.StatusMethodNotAllowed}, nil},
		{"fails at preflights", flaws{preflights: http.StatusBadGateway}, map[string]string{"options": "502", "preflight": "502"}},
		{"is not trusted", flaws{untrusted: true}, map[string]string{"address": "--trusted-proxy"}},
		{"believes an address", flaws{claims: true}, map[string]string{"address": "$remote_addr"}},
		{"keeps answers", flaws{remembers: true}, map[string]string{"limit": "proxy_cache", "revoked": "proxy_cache"}},
		{"does not reach keyctl serve", flaws{unreachable: true}, map[string]string{
			"no-key": "start keyctl serve", "invalid-key": "502", "two-keys": "502", "head": "502", "options": "502", "preflight": "502", "audience": "502", "admin-key": "502", "valid-key": "502", "revoked": "502",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var trusted []netip.Prefix
			if !tc.flaws.untrusted {
				trusted = append(trusted, netip.MustParsePrefix("127.0.0.1/32"))
			}
			f := servertest.New(t, trusted...)
			s := subject(t, f)
			s.URL = tc.flaws.proxy(t, f.URL, "http://"+s.Behind.Addr().String()).URL + "/mcp"
			if tc.flaws.buffers {
				s.Patience = time.Second // it is waited in full
			}
			got, all, worst := examine(t, s)
			if f := got["outage"]; all[len(all)-1] != "outage" || !strings.Contains(f.Fix, "curl -si -H ") || !strings.Contains(f.Fix, s.URL) {
				t.Errorf("the last finding does not say how to play an outage: %q, %q", all, f.Fix)
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
		f := servertest.New(t, netip.MustParsePrefix("127.0.0.1/32"))
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
		"asks nothing, from here": {flaws: flaws{open: true}, want: []string{"admin-key", "audience", "behind", "head", "invalid-key", "limit", "no-key", "options", "preflight", "revoked"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := servertest.New(t, netip.MustParsePrefix("127.0.0.1/32"))
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

// A redirect of the server's own is not a denial, and does not count as passed on. An answer to
// OPTIONS may be the proxy's.
func TestExamineFromOutsideTellsLittle(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/mcp/", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	f := servertest.New(t)
	for name, tc := range map[string]struct {
		flaws flaws
		want  map[string]string
	}{
		"redirects":                    {flaws{}, map[string]string{"valid-key": "if the URL has moved"}},
		"redirects, and asks nothing":  {flaws{open: true}, map[string]string{"no-key": "neither passed on nor refused", "valid-key": "redirect"}},
		"the proxy answers preflights": {flaws{preflights: http.StatusNoContent}, map[string]string{"options": "from the proxy or from the server", "preflight": "--behind"}},
		"the proxy refuses preflights": {flaws{preflights: http.StatusMethodNotAllowed}, map[string]string{"options": "from the proxy or from the server"}},
	} {
		s := subject(t, f)
		_ = s.Behind.Close()
		s.Behind = nil
		s.URL = tc.flaws.proxy(t, f.URL, server.URL).URL + "/mcp"
		got, _, _ := examine(t, s)
		for check, part := range tc.want {
			if f := got[check]; !strings.Contains(f.Says+f.Fix, part) || tc.flaws.preflights != 0 && f.State != doctor.Warning {
				t.Errorf("%s: %s: got %s %q, fix %q; want %q", name, check, f.State, f.Says, f.Fix, part)
			}
		}
	}
}

// The identity headers are sent in lower case too: net/http would hide whether a proxy takes
// them for others.
func TestExamineForges(t *testing.T) {
	f := servertest.New(t)
	s := subject(t, f)
	proxy, _ := url.Parse((&flaws{}).proxy(t, f.URL, "http://"+s.Behind.Addr().String()).URL)
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var sent strings.Builder
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			client, err := front.Accept()
			if err != nil {
				return
			}
			onward, err := net.Dial("tcp", proxy.Host)
			if err != nil {
				t.Error(err)
				return
			}
			go func() {
				text := make([]byte, 1<<16)
				for {
					n, err := client.Read(text)
					mu.Lock()
					sent.Write(text[:n])
					mu.Unlock()
					if _, wrote := onward.Write(text[:n]); err != nil || wrote != nil {
						_ = onward.Close()
						return
					}
				}
			}()
			go func() {
				_, _ = io.Copy(client, onward)
				_ = client.Close()
			}()
		}
	}()
	s.URL = "http://" + front.Addr().String()
	bad, _, _ := examine(t, s)
	delete(bad, "outage")
	delete(bad, "address") // this fixture trusts no proxy
	if len(bad) > 0 {
		t.Errorf("got %v", bad)
	}
	_ = front.Close()
	<-done
	mu.Lock()
	defer mu.Unlock()
	for _, name := range []string{
		"x-mcpkeys-owner", "X-Mcpkeys-Owner", "X_Mcpkeys_Owner", "X-Mcpkeys_Owner", "X_Mcpkeys-Owner", "X-Mcpkeys-Key_Id", "X-Mcpkeys_Key-Id", "X_Mcpkeys_Key_Name",
	} {
		if !strings.Contains(sent.String(), "\r\n"+name+": forged") {
			t.Errorf("%s is not forged", name)
		}
	}
}

// In place of the server behind, only the requests of this run are answered: others are of its
// clients, or of another run.
func TestExamineAnswersItsOwnRequests(t *testing.T) {
	f := servertest.New(t, netip.MustParsePrefix("127.0.0.1/32"))
	s := subject(t, f)
	behind := "http://" + s.Behind.Addr().String()
	good := (&flaws{}).proxy(t, f.URL, behind)
	var once sync.Once
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() {
			for _, id := range []string{"", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"} {
				q, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, behind, nil)
				q.Header.Set("Keyctl-Doctor", id)
				a, err := http.DefaultTransport.RoundTrip(q)
				if err != nil {
					t.Error(err)
					continue
				}
				_ = a.Body.Close()
				if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
					t.Errorf("id %q: got %d, want 503", id, a.StatusCode)
				}
			}
		})
		good.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	s.URL = front.URL
	if bad, _, _ := examine(t, s); len(bad) != 1 {
		t.Errorf("got %v, want the outage only", bad)
	}
}

// A check for which there is no key is named, with the reason.
func TestExamineSaysWhatIsLeftOut(t *testing.T) {
	f := servertest.New(t, netip.MustParsePrefix("127.0.0.1/32"))
	s := subject(t, f)
	s.Keys.Elsewhere, s.Keys.Bound = keys.Secret{}, keys.Secret{}
	s.Left = []proxycheck.Left{{Check: proxycheck.CheckAudience, Why: "a reason", Fix: "a way"}}
	s.URL = (&flaws{}).proxy(t, f.URL, "http://"+s.Behind.Addr().String()).URL
	bad, _, worst := examine(t, s)
	if got := bad["audience"]; got.State != doctor.Warning || got.Says != "not tried: a reason" || got.Fix != "a way" || worst != doctor.Warning || len(bad) != 2 {
		t.Errorf("got %v", bad)
	}
}

// Addresses that no client of this run has.
func TestOtherAddresses(t *testing.T) {
	for url, want := range map[string]string{
		"http://127.0.0.1:80/mcp": "[192.0.2.77/32 127.0.0.1/32 ::1/128]", "http://198.51.100.3/": "[192.0.2.77/32 127.0.0.1/32 ::1/128 198.51.100.3/32]",
		"http://[::ffff:198.51.100.3]/": "[192.0.2.77/32 127.0.0.1/32 ::1/128 198.51.100.3/32]", "http://[2001:db8::1]/": "[192.0.2.77/32 127.0.0.1/32 ::1/128 2001:db8::1/128]",
	} {
		if got := fmt.Sprint((&proxycheck.Subject{URL: url}).OtherAddresses(t.Context())); got != want {
			t.Errorf("%s: got %s, want %s", url, got, want)
		}
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
	f := servertest.New(t, netip.MustParsePrefix("127.0.0.1/32"))
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
