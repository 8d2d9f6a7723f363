package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
)

// lines counts the log lines of requests with that route, status and level.
func lines(f *servertest.Fixture, route string, status int, level string) (n int) {
	for line := range strings.Lines(f.Log()) {
		if strings.Contains(line, `"msg":"request"`) && strings.Contains(line, fmt.Sprintf(`"route":%q,"status":%d,`, route, status)) &&
			strings.Contains(line, `"level":"`+level+`"`) {
			n++
		}
	}
	return n
}

// The attack: a client without a key sends requests as fast as the network allows, so that
// their log lines fill the disk.
func TestStrangersCannotFillTheLog(t *testing.T) {
	f := servertest.New(t)
	admin := f.Admin()
	for range 40 {
		f.Send("GET", "/v1/keys", "", "")
		f.Send("GET", "/v1/keys", "mcpa_nonsense", "")
		f.Send("GET", "/nothing", "", "")
		f.Send("GET", "/healthz", "", "")
	}
	for _, tc := range []struct {
		route  string
		status int
	}{{"/v1/keys", 401}, {"none", 404}, {"/healthz", 200}} {
		if n := lines(f, tc.route, tc.status, "INFO"); n < 10 || n > 20 { // the minute may end in the middle
			t.Errorf("%s %d: got %d lines of 40 or 80, want 10 a minute", tc.route, tc.status, n)
		}
	}
	for range 12 {
		f.Send("GET", "/v1/whoami", admin, "")
		f.Send("POST", "/v1/verify", admin, `{"key":"x"}`)
	}
	if n := lines(f, "/v1/whoami", 200, "INFO"); n != 12 {
		t.Errorf("with a good key: got %d lines, want one a request", n)
	}
	if n := lines(f, "/v1/verify", 200, "DEBUG"); n != 12 {
		t.Errorf("verify: got %d lines at debug, want one a request", n)
	}
	if n := lines(f, "/v1/verify", 200, "INFO"); n != 0 {
		t.Errorf("verify: got %d lines at info, want none", n)
	}
}

// Enabling takes no body, so a body is a mistake.
func TestEnableRefusesABody(t *testing.T) {
	f := servertest.New(t)
	admin := f.Admin()
	for body, want := range map[string]int{`{"reason":"x"}`: 422, `junk`: 422, `{}`: 404} {
		if a := f.Send("POST", "/v1/keys/abcdefghijkl/enable", admin, body); a.Status != want {
			t.Errorf("enable with %s: got %d, want %d", body, a.Status, want)
		}
	}
}

// A filter by a value that does not exist would never find anything: it is a typing error.
func TestEnumsAreRefusedWithTheKnownValues(t *testing.T) {
	f := servertest.New(t)
	admin := f.Admin()
	for path, known := range map[string]string{
		"/v1/denials?code=bogus": "revoked", "/v1/denials?code=valid": "revoked",
		"/v1/audit?action=bogus": "key.revoke", "/v1/audit?action=key.bogus": "key.revoke", "/v1/audit?order=bogus": "newest",
		"/v1/keys?status=bogus": "active", "/v1/keys?kind=bogus": "admin",
	} {
		a := f.Send("GET", path, admin, "")
		if a.Status != 422 || !strings.Contains(a.Body, known) {
			t.Errorf("GET %s: got %d %s, want 422 with the known values", path, a.Status, a.Body)
		}
	}
}

// 10.1.2.3/8 may mean one address or sixteen million.
func TestHostBitsAreRefused(t *testing.T) {
	f := servertest.New(t)
	a := f.Send("POST", "/v1/keys", f.Admin(), `{"name":"x","allowed_ips":["10.1.2.3/8"]}`)
	if p := a.Problem(t); a.Status != 422 || len(p.Errors) != 1 || p.Errors[0].Field != "allowed_ips" || !strings.Contains(p.Errors[0].Message, "10.0.0.0/8") {
		t.Errorf("POST: got %d %s, want 422 that names 10.0.0.0/8", a.Status, a.Body)
	}
}
