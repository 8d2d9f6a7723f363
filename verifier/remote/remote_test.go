package remote_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/base/protocol"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/verifier"
	"github.com/mcpkeys/mcpkeys/verifier/remote"
)

// A remembered key costs no question while the lease holds.
func TestRemembers(t *testing.T) {
	l := newLiar(t)
	v := l.verifier(nil)
	for range 100 {
		if d := l.check(v); !d.Valid() || d.Identity.Name() != "ci" || !d.Identity.Allows("tools:get_x") {
			t.Fatalf("got %+v", d)
		}
	}
	if n := l.proofs.Load(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	if d := v.Authenticate(t.Context(), keys.NewToken(keys.KindKey).Secret().Reveal(), verifier.Call{}); d.Code != keys.CodeNotFound {
		t.Errorf("another secret: got %s", d.Code)
	}
}

// The stream tells of a change, the verifier drops the key, and says so at once.
func TestStreamBringsDropAndAcknowledgement(t *testing.T) {
	l := newLiar(t)
	moved := make(chan struct{})
	l.stream = func(w http.ResponseWriter, r *http.Request, _ protocol.Tag) {
		event(w, ": \n\n")
		select {
		case <-moved:
			tell(w, protocol.Event{Era: era, To: 1<<48 | 6})
		case <-r.Context().Done():
		}
		<-r.Context().Done()
	}
	v := l.verifier(nil)
	if d := l.check(v); !d.Valid() {
		t.Fatalf("got %+v", d)
	}
	l.set(func() { l.position, l.revoked = 1<<48|6, 1<<48|6 })
	close(moved)
	until(t, "the verifier says that it applied the change", func() bool { return l.applied.Load() == 1<<48|6 })
	if d := l.check(v); d.Code != keys.CodeRevoked {
		t.Errorf("got %s, want revoked", d.Code)
	}
}

// What the stream names is dropped without a question, and one renewal says so. The renewals
// here tell of no change before the verifier says that it has applied it.
func TestOneRenewalForAChange(t *testing.T) {
	l := newLiar(t)
	l.granted = func(m *protocol.Renewal, g *protocol.Granted) {
		if m.Applied < 1<<48|7 {
			g.Position, g.Drop = 1<<48|5, nil
		}
	}
	changed := make(chan struct{})
	l.stream = func(w http.ResponseWriter, r *http.Request, tag protocol.Tag) {
		tell(w, protocol.Event{Era: era, To: 1<<48 | 5, Imported: true})
		select {
		case <-changed:
			tell(w, protocol.Event{Era: era, From: 1<<48 | 5, To: 1<<48 | 6, Drop: []protocol.Tag{{1}}, Imported: true})
			tell(w, protocol.Event{Era: era, From: 1<<48 | 6, To: 1<<48 | 7, Drop: []protocol.Tag{tag}, Imported: true})
		case <-r.Context().Done():
		}
		<-r.Context().Done()
	}
	v := l.verifier(nil)
	if d := l.check(v); !d.Valid() {
		t.Fatalf("got %+v", d)
	}
	l.set(func() { l.position, l.revoked = 1<<48|7, 1<<48|7 })
	close(changed)
	until(t, "the verifier says that it applied both changes", func() bool { return l.applied.Load() == 1<<48|7 })
	if d := l.check(v); d.Code != keys.CodeRevoked {
		t.Errorf("got %s, want revoked", d.Code)
	}
}

// The verifier renews, and has applied nothing, if an event does not continue where it stands.
func TestEventsThatDoNotContinue(t *testing.T) {
	for name, e := range map[string]protocol.Event{
		"a gap":              {Era: era, From: 1<<48 | 6, To: 1<<48 | 7},
		"another era":        {Era: "old", From: 1<<48 | 5, To: 1<<48 | 7},
		"without an era":     {From: 1<<48 | 5, To: 1<<48 | 7},
		"a position":         {Era: era, To: 1<<48 | 7},
		"another generation": {Era: era, From: 1<<48 | 5, To: 2<<48 | 7},
		"of before":          {Era: era, From: 1<<48 | 3, To: 1<<48 | 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLiar(t)
			var before atomic.Int64 // renewals when the event was sent
			var beyond atomic.Bool
			l.granted = func(m *protocol.Renewal, _ *protocol.Granted) {
				if m.Applied > 1<<48|5 {
					beyond.Store(true)
				}
			}
			l.stream = func(w http.ResponseWriter, r *http.Request, tag protocol.Tag) {
				for l.applied.Load() == 0 && r.Context().Err() == nil {
					time.Sleep(time.Millisecond)
				}
				e.Drop = []protocol.Tag{tag}
				before.Store(l.renewals.Load())
				tell(w, e)
				<-r.Context().Done()
			}
			l.verifier(nil)
			until(t, "the verifier has renewed after the event", func() bool { return before.Load() > 0 && l.renewals.Load() > before.Load()+2 })
			if got := l.applied.Load(); beyond.Load() || got != 1<<48|5 {
				t.Errorf("the verifier says that it applied %d, or said that it applied more, want what the renewals told", got&(1<<48-1))
			}
		})
	}
}

// Without a stream the renewals find the change.
func TestRenewalsFindChangesWithoutStream(t *testing.T) {
	l := newLiar(t)
	l.stream = func(w http.ResponseWriter, _ *http.Request, _ protocol.Tag) { w.WriteHeader(http.StatusBadGateway) }
	v := l.verifier(nil)
	l.check(v)
	l.set(func() { l.position, l.revoked = 1<<48|6, 1<<48|6 })
	until(t, "the key is refused", func() bool { return l.check(v).Code == keys.CodeRevoked })
}

// A17. The answer to a question that was asked before a change is not remembered, and one that
// is behind what the verifier has heard is not used at all.
func TestA17LateAnswer(t *testing.T) {
	l := newLiar(t)
	asked, letGo := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	l.answered = func(*protocol.Answer) {
		if once.CompareAndSwap(false, true) {
			close(asked)
			<-letGo
		}
	}
	v := l.verifier(nil)
	first := make(chan keys.Decision)
	go func() { first <- l.check(v) }()
	<-asked
	l.set(func() { l.position, l.revoked = 1<<48|6, 1<<48|6 })
	until(t, "the verifier has applied the change", func() bool { return l.applied.Load() == 1<<48|6 })
	close(letGo)
	if d := <-first; d.Code != keys.CodeRevoked {
		t.Errorf("the check that waited: got %s, want revoked", d.Code)
	}
	if d := l.check(v); d.Code != keys.CodeRevoked {
		t.Errorf("the check after it: got %s, want revoked", d.Code)
	}
}

// A server that always answers from before is of no use, and nothing is accepted.
func TestAnswersFromBefore(t *testing.T) {
	l := newLiar(t)
	l.answered = func(a *protocol.Answer) { a.Position = 1 << 48 }
	v := l.verifier(nil)
	until(t, "a lease is there", func() bool { return l.applied.Load() != 0 })
	d := l.check(v)
	if d.Code != keys.CodeUnavailable {
		t.Fatalf("got %s, want unavailable", d.Code)
	}
	mustSay(t, d.Cause, "older state")
}

// A server of another key store, or of an older state: everything is dropped.
func TestOtherGeneration(t *testing.T) {
	for name, change := range map[string]func(l *liar){
		"restored": func(l *liar) { l.position = 2<<48 | 3 },
		"older":    func(l *liar) { l.position = 1 << 48 },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLiar(t)
			l.granted = func(_ *protocol.Renewal, g *protocol.Granted) {
				g.Era = strconv.FormatUint(uint64(g.Position), 10)
			}
			v := l.verifier(nil)
			if d := l.check(v); !d.Valid() {
				t.Fatalf("got %+v", d)
			}
			before := l.proofs.Load()
			l.set(func() { change(l); l.revoked = l.position })
			until(t, "the key is refused", func() bool { return l.check(v).Code != keys.CodeValid })
			if l.proofs.Load() == before && name == "restored" {
				t.Error("the key was not asked for again")
			}
		})
	}
}

// Whatever the stream says, it extends nothing and ends nothing but itself.
func TestStreamThatLies(t *testing.T) {
	for name, lie := range map[string]func(w http.ResponseWriter, r *http.Request, tag protocol.Tag){
		"old positions": func(w http.ResponseWriter, r *http.Request, _ protocol.Tag) {
			for r.Context().Err() == nil {
				tell(w, protocol.Event{Era: era, To: 1})
				time.Sleep(time.Millisecond)
			}
		},
		"positions that never were": func(w http.ResponseWriter, r *http.Request, _ protocol.Tag) {
			tell(w, protocol.Event{Era: era, To: 18446744073709551615})
			<-r.Context().Done()
		},
		"backwards": func(w http.ResponseWriter, r *http.Request, _ protocol.Tag) {
			tell(w, protocol.Event{Era: era, From: 1<<48 | 6, To: 1<<48 | 5})
			<-r.Context().Done()
		},
		"an endless line": func(w http.ResponseWriter, r *http.Request, _ protocol.Tag) {
			for r.Context().Err() == nil {
				event(w, strings.Repeat("x", 1<<16))
			}
		},
		"no events": func(w http.ResponseWriter, r *http.Request, _ protocol.Tag) {
			event(w, "hello\nworld\n")
			<-r.Context().Done()
		},
		"no numbers": func(w http.ResponseWriter, r *http.Request, _ protocol.Tag) {
			event(w, "data: {\"to\":\"-1\"}\n\n")
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLiar(t)
			l.stream = lie
			v := l.verifier(nil)
			for range 20 {
				if d := l.check(v); !d.Valid() {
					t.Fatalf("got %+v", d)
				}
			}
			l.set(func() { l.position, l.revoked = 1<<48|6, 1<<48|6 })
			until(t, "the key is refused", func() bool { return l.check(v).Code == keys.CodeRevoked })
			l.set(func() { l.status = http.StatusServiceUnavailable })
			until(t, "nothing is accepted without the server", func() bool { return l.check(v).Code == keys.CodeUnavailable })
		})
	}
}

// Answers that our server does not give end as unavailable, with a reason for the operator.
func TestWrongAnswers(t *testing.T) {
	other := keys.NewToken(keys.KindKey)
	for name, tc := range map[string]struct {
		lie  func(*protocol.Answer)
		says string
	}{
		"another key":       {func(a *protocol.Answer) { a.Key.ID = other.ID() }, "another key"},
		"no key":            {func(a *protocol.Answer) { a.Key = nil }, "another key"},
		"no pass":           {func(a *protocol.Answer) { a.Pass = nil }, "another key"},
		"a secret too many": {func(a *protocol.Answer) { a.Secret = 7 }, "a secret that the key does not have"},
		"bad addresses":     {func(a *protocol.Answer) { a.Key.AllowedIPs = []string{"x"} }, "cannot be read"},
		"a bad limit":       {func(a *protocol.Answer) { a.Key.RateLimit = "x" }, "cannot be read"},
		"tampered":          {func(a *protocol.Answer) { a.Tampered = true }, "outside mcpkeys"},
		"bad scopes":        {func(a *protocol.Answer) { a.Key.Scopes = []string{"\x00"} }, ""},
		"withheld":          {func(a *protocol.Answer) { a.Key.Withheld = true }, "-"},
		"1 GB":              {func(a *protocol.Answer) { a.Key.Metadata = map[string]string{"x": strings.Repeat("x", 2<<20)} }, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLiar(t)
			l.answered = tc.lie
			v := l.verifier(nil)
			d := l.check(v)
			if d.Valid() || d.Identity != nil {
				t.Fatalf("accepted: %+v", d)
			}
			if name == "withheld" {
				if d.Code != keys.CodeWrongAudience {
					t.Errorf("got %s, want wrong_audience", d.Code)
				}
				for _, call := range []verifier.Call{{Any: true}, {Kind: keys.KindAdmin}, {Kind: keys.KindAdmin, Any: true}} {
					if d := v.Authenticate(t.Context(), l.token.Secret().Reveal(), call); d.Valid() {
						t.Errorf("a guard that asks for %+v accepted it", call)
					}
				}
				l.set(func() {
					l.answered = func(a *protocol.Answer) { a.Key.Withheld, a.Key.Kind = true, string(keys.KindAdmin) }
				})
				v := l.verifier(nil)
				for _, call := range []verifier.Call{{}, {Kind: keys.KindAdmin}, {Kind: keys.KindAdmin, Audience: "weather"}} {
					if d := v.Authenticate(t.Context(), l.token.Secret().Reveal(), call); d.Code != keys.CodeWrongKind {
						t.Errorf("an admin key at a guard that asks for %+v: got %s: %v, want wrong_kind", call, d.Code, d.Cause)
					}
				}
				return
			}
			if d.Code != keys.CodeUnavailable {
				t.Errorf("got %s, want unavailable", d.Code)
			}
			mustSay(t, d.Cause, tc.says)
		})
	}
}

// Another program at the address ends checks as unavailable, with what to do.
func TestWrongServers(t *testing.T) {
	for status, says := range map[int]string{
		http.StatusMovedPermanently: "status 301", http.StatusNotFound: "not an mcpkeys server",
		http.StatusUnauthorized: "refuses the verify key", http.StatusForbidden: "does not allow",
		http.StatusInternalServerError: "status 500", http.StatusServiceUnavailable: "cannot answer",
	} {
		l := newLiar(t)
		l.status = status
		d := l.check(l.verifier(nil))
		if d.Code != keys.CodeUnavailable {
			t.Errorf("%d: got %s", status, d.Code)
		}
		mustSay(t, d.Cause, says)
		if keys.HoldsToken(d.Cause.Error()) {
			t.Errorf("%d: the error has a secret: %v", status, d.Cause)
		}
	}
}

// Nothing is sent if the certificate cannot be verified.
func TestUnverifiedTLS(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer s.Close()
	l := newLiar(t)
	v, err := verifier.New(remote.New(s.URL, l.options(func(o *remote.Options) { o.InsecureHTTP = false })), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	d := l.check(v)
	var unknown *tls.CertificateVerificationError
	if d.Code != keys.CodeUnavailable || !errors.As(d.Cause, &unknown) || asked.Load() != 0 {
		t.Errorf("got %s (%v), %d requests", d.Code, d.Cause, asked.Load())
	}
}

// A server that gives no lease is asked for each request, by each caller on its own.
func TestWithoutLease(t *testing.T) {
	l := newLiar(t)
	l.granted = func(_ *protocol.Renewal, g *protocol.Granted) { g.Lease = 0 }
	v := l.verifier(nil)
	for range 5 {
		if d := l.check(v); !d.Valid() {
			t.Fatalf("got %+v", d)
		}
	}
	if n := l.proofs.Load(); n != 5 {
		t.Errorf("asked %d times, want 5", n)
	}
	l.set(func() { l.revoked = 1<<48 | 6 })
	if d := l.check(v); d.Code != keys.CodeRevoked {
		t.Errorf("got %s, want revoked at once", d.Code)
	}
}

// What was remembered under a lease is not used without one.
func TestLeaseIsTakenAway(t *testing.T) {
	l := newLiar(t)
	v := l.verifier(nil)
	if d := l.check(v); !d.Valid() {
		t.Fatalf("got %+v", d)
	}
	l.set(func() {
		l.granted = func(_ *protocol.Renewal, g *protocol.Granted) { g.Lease, g.Drop = 0, nil }
		l.revoked = 1<<48 | 6
	})
	until(t, "the server is asked", func() bool { return l.check(v).Code == keys.CodeRevoked })
	for range 100 {
		if d := l.check(v); d.Code != keys.CodeRevoked {
			t.Fatalf("got %s, want revoked", d.Code)
		}
	}
}

// A strict verifier asks for each request.
func TestStrict(t *testing.T) {
	l := newLiar(t)
	v := l.verifier(func(o *remote.Options) { o.Strict = true })
	for range 5 {
		if d := l.check(v); !d.Valid() {
			t.Fatalf("got %+v", d)
		}
	}
	if n, r := l.proofs.Load(), l.renewals.Load(); n != 5 || r != 0 {
		t.Errorf("asked %d times, renewed %d times, want 5 and 0", n, r)
	}
	l.set(func() { l.revoked = 1 })
	if d := l.check(v); d.Code != keys.CodeRevoked {
		t.Errorf("got %s, want revoked", d.Code)
	}
}

// When the server is gone, remembered keys are accepted for the rest of the lease and no longer.
func TestLeaseEnds(t *testing.T) {
	l := newLiar(t)
	v := l.verifier(nil)
	l.check(v)
	l.set(func() { l.status = http.StatusServiceUnavailable })
	gone := time.Now()
	until(t, "the key is refused", func() bool {
		began := time.Now()
		d := l.check(v)
		if d.Valid() && began.Sub(gone) > feed.Lease {
			t.Errorf("accepted in a check that began %v after the last answer", began.Sub(gone))
		}
		return !d.Valid()
	})
	l.set(func() { l.status = 0 })
	until(t, "it is accepted again", func() bool { return l.check(v).Valid() })
}

// The wall clock of a computer that slept is ahead of its monotonic one, and the lease is over.
func TestSleep(t *testing.T) {
	for name, jump := range map[string]time.Duration{"asleep": feed.Lease, "set back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			l := newLiar(t)
			var jumped atomic.Int64
			clock := func() time.Time {
				now := time.Now()
				if by := time.Duration(jumped.Load()); by != 0 { // wall only: the monotonic reading is moved back
					return addWall(now, by)
				}
				return now
			}
			v, err := verifier.New(remote.New(l.URL, l.options(nil)), &verifier.Options{Now: clock})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = v.Close() }()
			if d := l.check(v); !d.Valid() {
				t.Fatalf("got %+v", d)
			}
			l.set(func() { l.position, l.revoked = 1<<48|6, 1<<48|6 })
			jumped.Store(int64(jump))
			if d := l.check(v); d.Code != keys.CodeRevoked {
				t.Errorf("got %s, want revoked: the lease was used after the jump", d.Code)
			}
		})
	}
}

// Keys expire by the server's clock.
func TestServersClock(t *testing.T) {
	l := newLiar(t)
	ends := time.Now().Add(-time.Hour)
	ahead := func(at *time.Time) { *at = at.Add(-2 * time.Hour) }
	l.granted = func(_ *protocol.Renewal, g *protocol.Granted) { ahead(&g.Time) }
	l.answered = func(a *protocol.Answer) {
		ahead(&a.Time)
		a.Key.ExpiresAt = ends
	}
	v := l.verifier(nil)
	if d := l.check(v); !d.Valid() {
		t.Fatalf("the server's clock is before the expiry: got %s", d.Code)
	}
	l.set(func() {
		l.granted, l.answered = nil, func(a *protocol.Answer) { a.Key.ExpiresAt = ends }
	})
	until(t, "the server's clock has passed the expiry", func() bool { return l.check(v).Code == keys.CodeExpired })
}

// A message whose answer is lost is sent again with its number, and others after it.
func TestCountsAreNumbered(t *testing.T) {
	l := newLiar(t)
	source := remote.New(l.URL, l.options(nil))
	v, err := verifier.New(source, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		l.check(v)
	}
	v.Authorize(l.check(v), verifier.Call{}, "tools:get_x")
	v.Authenticate(t.Context(), keys.NewToken(keys.KindKey).Secret().Reveal(), verifier.Call{})
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var calls, denials int64
	for i, m := range l.counts {
		if m.N != int64(i+1) {
			t.Errorf("message %d has the number %d", i+1, m.N)
		}
		for _, u := range m.Uses {
			if u.Secret != 1 || u.Pass != (protocol.Pass{1}) || len(u.Last) != 1 || u.Last[0].Secret != 1 || u.Last[0].Pass != u.Pass {
				t.Errorf("got %+v", u)
			}
			for _, c := range u.Counts {
				if c.Code == "valid" && c.Scope == "" {
					calls += c.Calls
				}
			}
		}
		for _, d := range m.Denials {
			denials += d.Calls
		}
	}
	if calls != 4 || denials != 1 {
		t.Errorf("got %d calls and %d denials, want 4 and 1", calls, denials)
	}
}

// A verify key that is replaced in its file is used from then on.
func TestKeyFileIsReadAgain(t *testing.T) {
	l := newLiar(t)
	var seen atomic.Value
	inner := l.Config.Handler
	l.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Header.Get("Authorization"))
		inner.ServeHTTP(w, r)
	})
	path := filepath.Join(t.TempDir(), "verify.key")
	write := func(key keys.Token) {
		if err := os.WriteFile(path+".new", []byte(key.Secret().Reveal()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	first, second := keys.NewToken(keys.KindAdmin), keys.NewToken(keys.KindAdmin)
	write(first)
	l.verifier(func(o *remote.Options) { o.Key, o.KeyFile = keys.Secret{}, path })
	until(t, "the first key is used", func() bool { return seen.Load() == "Bearer "+first.Secret().Reveal() })
	write(second)
	until(t, "the second key is used", func() bool { return seen.Load() == "Bearer "+second.Secret().Reveal() })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	n := l.renewals.Load()
	until(t, "the key of before stays in use", func() bool { return l.renewals.Load() > n+1 })
}

// Two keys that are written within one step of the file system's clock, in place, have the same
// file, size and time.
func TestKeyFileOfTheSameTimeIsReadAgain(t *testing.T) {
	l := newLiar(t)
	var seen atomic.Value
	inner := l.Config.Handler
	l.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Header.Get("Authorization"))
		inner.ServeHTTP(w, r)
	})
	path := filepath.Join(t.TempDir(), "verify.key")
	at := time.Now().Add(time.Hour)
	write := func(key keys.Token) {
		if err := os.WriteFile(path, []byte(key.Secret().Reveal()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	first, second := keys.NewToken(keys.KindAdmin), keys.NewToken(keys.KindAdmin)
	write(first)
	l.verifier(func(o *remote.Options) { o.Key, o.KeyFile = keys.Secret{}, path })
	until(t, "the first key is used", func() bool { return seen.Load() == "Bearer "+first.Secret().Reveal() })
	write(second)
	until(t, "the second key is used", func() bool { return seen.Load() == "Bearer "+second.Secret().Reveal() })
}

func TestOptions(t *testing.T) {
	key := keys.NewToken(keys.KindAdmin).Secret()
	for address, tc := range map[string]struct {
		o    remote.Options
		says string
	}{
		"":                       {remote.Options{Key: key}, "server"},
		"keys.internal":          {remote.Options{Key: key}, "server"},
		"ftp://keys.internal":    {remote.Options{Key: key}, "server"},
		"unix:":                  {remote.Options{Key: key}, "socket"},
		"http://keys.internal":   {remote.Options{Key: key, InsecureHTTP: true}, "another machine"},
		"http://127.0.0.1:1":     {remote.Options{Key: key}, "another program"},
		"https://u:p@k.internal": {remote.Options{Key: key}, "without user"},
		"https://a.internal":     {remote.Options{}, "must name a file"},
		"https://b.internal":     {remote.Options{Key: keys.NewSecret("x")}, "not a valid key"},
		"https://c.internal":     {remote.Options{Key: keys.NewToken(keys.KindKey).Secret()}, "admin key"},
		"https://d.internal":     {remote.Options{KeyFile: filepath.Join(t.TempDir(), "none")}, "key_file"},
		"https://e.internal":     {remote.Options{Key: key, KeyFile: "x"}, "combined"},
	} {
		_, err := verifier.New(remote.New(address, &tc.o), nil)
		var invalid *keys.InvalidError
		if !errors.As(err, &invalid) {
			t.Errorf("%s: got %v, want an InvalidError", address, err)
		}
		mustSay(t, err, tc.says)
	}
	if _, err := verifier.New(remote.New("https://a.internal", nil), nil); err == nil {
		t.Error("no options: got no error")
	}
}

// An open connection is asked for again when the lease has ended, and is cut only if that
// fails for as long as a lease.
func TestHoldOutlivesLease(t *testing.T) {
	l := newLiar(t)
	l.granted = func(_ *protocol.Renewal, g *protocol.Granted) { g.Lease = 0 }
	v := l.verifier(nil)
	ended := make(chan keys.Code, 1)
	release := v.Hold(l.check(v), verifier.Call{Audience: "weather"}, nil, func(c keys.Code) { ended <- c })
	defer release()
	asked := l.proofs.Load()
	until(t, "the server is asked for the open connection", func() bool { return l.proofs.Load() > asked+1 })
	select {
	case code := <-ended:
		t.Fatalf("the connection was ended (%s) although the server answers", code)
	default:
	}
	l.set(func() { l.status = http.StatusServiceUnavailable })
	gone := time.Now()
	if code := <-ended; code != keys.CodeUnavailable || time.Since(gone) < feed.Lease {
		t.Errorf("ended with %s after %v, want unavailable after %v", code, time.Since(gone), feed.Lease)
	}
}

// A connection of a key that is revoked ends, with and without a lease.
func TestHoldEnds(t *testing.T) {
	for _, lease := range []int64{0, feed.Lease.Milliseconds()} {
		l := newLiar(t)
		l.granted = func(_ *protocol.Renewal, g *protocol.Granted) { g.Lease = lease }
		v := l.verifier(nil)
		ended := make(chan keys.Code, 1)
		release := v.Hold(l.check(v), verifier.Call{Audience: "weather"}, nil, func(c keys.Code) { ended <- c })
		l.set(func() { l.position, l.revoked = 1<<48|6, 1<<48|6 })
		if code := <-ended; code != keys.CodeRevoked {
			t.Errorf("lease %d: ended with %s, want revoked", lease, code)
		}
		release()
	}
}

// Close ends everything that runs, also while the server does not answer.
func TestCloseWhileServerHangs(t *testing.T) {
	l := newLiar(t)
	hang := make(chan struct{})
	defer close(hang)
	l.granted = func(*protocol.Renewal, *protocol.Granted) { <-hang }
	v := l.verifier(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_ = v.Authenticate(ctx, l.token.Secret().Reveal(), verifier.Call{})
	if err := v.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// A server that grants no lease is not asked for one more often, whatever its stream says and
// however many checks there are.
func TestNoFloodWithoutLease(t *testing.T) {
	for name, refuse := range map[string]func(*protocol.Granted){
		"from the start": func(g *protocol.Granted) { g.Lease = 0 },
		"after a change": func(g *protocol.Granted) {
			if g.Position != 1<<48|5 {
				g.Lease = 0
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLiar(t)
			l.granted = func(_ *protocol.Renewal, g *protocol.Granted) { refuse(g) }
			l.stream = func(w http.ResponseWriter, r *http.Request, _ protocol.Tag) {
				for r.Context().Err() == nil {
					l.mu.Lock()
					at := l.position
					l.mu.Unlock()
					tell(w, protocol.Event{Era: era, From: at - 1, To: at})
					time.Sleep(20 * time.Millisecond)
				}
			}
			v := l.verifier(nil)
			l.check(v)
			l.set(func() { l.position = 1<<48 | 6 })
			began, before := time.Now(), l.renewals.Load()
			for time.Since(began) < 3*time.Second {
				if d := l.check(v); !d.Valid() {
					t.Fatalf("got %+v", d)
				}
				time.Sleep(5 * time.Millisecond)
			}
			if got, most := l.renewals.Load()-before, int64(time.Since(began)/(protocol.RenewEvery/2))+3; got > most {
				t.Errorf("%d renewals, want %d at the most", got, most)
			}
		})
	}
}

// A transport of one's own does not lead around the checks of a unix socket.
func TestTransportWithSocket(t *testing.T) {
	_, err := verifier.New(remote.New("unix:/run/x", &remote.Options{Key: keys.NewToken(keys.KindAdmin).Secret(), Transport: &http.Transport{}}), nil)
	mustSay(t, err, "unix socket")
}
