package guardtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/requestid"
	"github.com/mcpkeys/mcpkeys/middleware"
	"github.com/mcpkeys/mcpkeys/verifier"
)

// Adapter is one way to guard a place.
type Adapter struct {
	// Mount guards a place that needs the scope [Needed] and calls reached with what
	// its code can see.
	Mount func(guard *middleware.Guard, reached func(context.Context, http.Header)) http.Handler
	// Request makes a request to that place, without a key.
	Request func(url string) *http.Request
	// InBand says that scopes are judged within a protocol, above HTTP.
	InBand bool
}

// Spend makes one call with the token.
func (k *Keyring) Spend(token string) {
	k.t.Helper()
	call := verifier.Call{Audience: Audience}
	if d := k.verifier.Authenticate(k.t.Context(), token, call); !d.Valid() {
		k.t.Fatalf("Authenticate: got %v, want valid", d.Code)
	}
}

// Run checks an adapter against the table: each request's exact status, headers and body, what
// is logged, and what the guarded handler sees.
func Run(t *testing.T, a Adapter) {
	for _, s := range scenarios() {
		if s.inBand && a.InBand {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			k := NewKeyring(t)
			lines := s.headers(k)
			var log Buffer
			place := &place{}
			guard := k.Guard(&middleware.Options{Logger: Logger(&log)})
			srv := httptest.NewServer(a.Mount(guard, place.reached))
			defer srv.Close()

			reads := k.Reads()
			resp, body := Send(t, a.Request(srv.URL), lines...)
			if s.code == "" {
				checkAdmitted(t, resp, body, place, lines)
				return
			}
			checkRefused(t, s, resp, body)
			checkLog(t, s.code, log.String())
			if place.ctx != nil {
				t.Error("the guarded place was reached")
			}
			if s.unread && k.Reads() != reads {
				t.Errorf("keys looked up: got %d, want none", k.Reads()-reads)
			}
			for _, secret := range secrets(lines) {
				if strings.Contains(body+log.String(), secret) {
					t.Error("the answer or the log shows the key")
				}
			}
		})
	}
}

// place is where a guarded request arrives.
type place struct {
	ctx    context.Context
	header http.Header
}

func (p *place) reached(ctx context.Context, h http.Header) { p.ctx, p.header = ctx, h.Clone() }

// Send sends r with header lines of the form "Name: value", as they are.
func Send(t testing.TB, r *http.Request, lines ...string) (resp *http.Response, body string) {
	t.Helper()
	r.Header["X-Request-Id"] = []string{RequestID}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	return resp, string(text)
}

func checkAdmitted(t *testing.T, resp *http.Response, body string, p *place, lines []string) {
	t.Helper()
	if resp.StatusCode != http.StatusOK || p.ctx == nil {
		t.Fatalf("status: got %d %s, want 200 from the guarded place", resp.StatusCode, body)
	}
	if id, ok := keys.IdentityFrom(p.ctx); !ok || !strings.Contains(strings.Join(lines, ""), id.KeyID()) {
		t.Errorf("identity: got %v, want that of the key", id.KeyID())
	}
	if got := requestid.From(p.ctx); got != RequestID {
		t.Errorf("request id: got %q, want %q", got, RequestID)
	}
	for name, values := range p.header {
		if name == "Authorization" || name == "X-Api-Key" || keys.LooksLikeToken(strings.Join(values, " ")) {
			t.Errorf("the guarded place sees the credential header %s", name)
		}
	}
}

func checkRefused(t *testing.T, s scenario, resp *http.Response, body string) {
	t.Helper()
	if resp.StatusCode != s.status {
		t.Errorf("status: got %d, want %d", resp.StatusCode, s.status)
	}
	if body != s.body {
		t.Errorf("body:\n got %s want %s", body, s.body)
	}
	for name, want := range map[string]string{
		"Www-Authenticate": s.auth, "Retry-After": s.retry, "Ratelimit-Policy": s.policy, "Ratelimit": s.limit, "Cache-Control": "no-store",
		"Content-Type": "application/problem+json", "X-Request-Id": RequestID,
	} {
		if got := strings.Join(resp.Header[name], "|"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// checkLog expects one line with the true reason.
func checkLog(t *testing.T, code keys.Code, log string) {
	t.Helper()
	var line struct {
		Code      keys.Code `json:"code"`
		RequestID string    `json:"request_id"`
		RemoteIP  string    `json:"remote_ip"`
	}
	if err := json.Unmarshal([]byte(log), &line); err != nil {
		t.Fatalf("log: got %q, want one line: %v", log, err)
	}
	if line.Code != code || line.RequestID != RequestID || line.RemoteIP != "127.0.0.1" {
		t.Errorf("log: got %+v, want code %s", line, code)
	}
}

// secrets are the parts of header lines that must not be seen again.
func secrets(lines []string) []string {
	var found []string
	for _, line := range lines {
		if _, rest, ok := strings.Cut(line, "mcpk_"); ok && len(rest) > 20 {
			found = append(found, rest[13:20])
		}
	}
	return found
}

// Buffer collects what is written to it. It is safe for concurrent use.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements [io.Writer].
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Status sends a bare request to h, without a network, and returns the answer's
// status.
func Status(t testing.TB, h http.Handler, method, path string) int {
	t.Helper()
	return StatusOf(h, httptest.NewRequestWithContext(t.Context(), method, path, nil))
}

// StatusOf hands r to h, without a network, and returns the answer's status.
func StatusOf(h http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// Answer is [Status] with the whole answer.
func Answer(t testing.TB, h http.Handler, method, path string) (resp *http.Response, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	return w.Result(), w.Body.String()
}

// Logger writes JSON lines to w.
func Logger(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }

// Raw writes text to a new connection and returns the status of the first answer, or "" if the
// connection is closed without one.
func Raw(t testing.TB, addr, text string) string {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(conn).ReadString('\n')
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return ""
	}
	return fields[1]
}
