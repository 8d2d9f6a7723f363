package server_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/admin/api"
	"github.com/mcpkeys/mcpkeys/internal/dev/servertest"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/verifyapi"
)

// An answer for a valid key says how long it may be kept, never longer than the key is valid.
func TestVerifyTellsLease(t *testing.T) {
	f := servertest.New(t)
	adminKey := f.Admin("verify")
	soon := time.Now().Add(20 * time.Second).UTC().Truncate(time.Microsecond)
	for name, c := range map[string]struct {
		expires keys.Expiry
		until   time.Time // zero: the usual end of the lease
	}{
		"never expires": {keys.NeverExpires(), time.Time{}},
		"in a year":     {keys.ExpiresAt(time.Now().AddDate(1, 0, 0)), time.Time{}},
		"soon":          {keys.ExpiresAt(soon), soon},
	} {
		token, _ := f.Issue(admin.IssueRequest{Expires: c.expires})
		before := time.Now()
		var v api.Verification
		f.Send("POST", "/v1/verify", adminKey, `{"key":"`+token+`"}`).Read(t, &v)
		if v.Lease == nil || !v.Valid {
			t.Fatalf("%s: got %+v, want valid with a lease", name, v)
		}
		earliest, latest := before.Add(verifyapi.Lease-time.Microsecond), time.Now().Add(verifyapi.Lease)
		if !c.until.IsZero() {
			earliest, latest = c.until, c.until
		}
		if v.Lease.Before(earliest) || v.Lease.After(latest) {
			t.Errorf("%s: got a lease until %v, want %v to %v", name, v.Lease, earliest, latest)
		}
	}
	var rotated api.Verification
	old, id := f.Issue(admin.IssueRequest{})
	f.Send("POST", "/v1/keys/"+id+"/rotate", f.Admin(), `{"grace":"10s"}`)
	f.Send("POST", "/v1/verify", adminKey, `{"key":"`+old+`"}`).Read(t, &rotated)
	if !rotated.Valid || rotated.Lease == nil || time.Until(*rotated.Lease) > 10*time.Second {
		t.Errorf("in a grace of 10 s: got %+v, want a lease that ends with it", rotated)
	}
	dead, id := f.Issue(admin.IssueRequest{})
	f.Revoke(id)
	var v api.Verification
	f.Send("POST", "/v1/verify", adminKey, `{"key":"`+dead+`"}`).Read(t, &v)
	if v.Valid || v.Lease != nil || v.RateLimit != nil {
		t.Errorf("revoked: got %+v, want neither lease nor limit", v)
	}
}

// The answer has the rate limit and what is left of it, if a call was counted.
func TestVerifyTellsRateLimit(t *testing.T) {
	f := servertest.New(t)
	adminKey := f.Admin("verify")
	token, _ := f.Issue(admin.IssueRequest{RateLimit: keys.RateLimit{Count: 24, Window: 24 * time.Hour, Burst: 2}})
	unlimited, _ := f.Issue(admin.IssueRequest{})
	for i, want := range []struct {
		code                    string
		remaining, reset, retry int
	}{{"valid", 1, 3600, 0}, {"valid", 0, 7200, 0}, {"rate_limited", 0, 7200, 3600}} {
		var v api.Verification
		f.Send("POST", "/v1/verify", adminKey, `{"key":"`+token+`"}`).Read(t, &v)
		r := v.RateLimit
		if v.Code != want.code || r == nil || r.Limit != 24 || r.Window != 86400 || r.Remaining != want.remaining ||
			!near(r.Reset, want.reset) || !near(v.RetryAfter, want.retry) {
			t.Errorf("check %d: got %+v with %+v, want %+v", i, v, r, want)
		}
	}
	var v api.Verification
	f.Send("POST", "/v1/verify", adminKey, `{"key":"`+unlimited+`"}`).Read(t, &v)
	if !v.Valid || v.RateLimit != nil {
		t.Errorf("without a limit: got %+v, want valid and none", v)
	}
}

// near allows for a minute that the test itself may take.
func near(got, want int) bool { return got <= want && got >= want-60 }

// Attack A22: guessing keys through a server that asks for its clients. The guesser is stopped
// with a 429 to the asking server, for that client only: other clients, other callers and known
// keys continue. The IPv4-mapped form of the address is the same client.
func TestA22GuessingThroughVerify(t *testing.T) {
	f := servertest.New(t)
	adminKey, other := f.Admin("verify"), f.Admin("verify")
	known, _ := f.Issue(admin.IssueRequest{})
	verify := func(admin, key, ip string) servertest.Answer {
		return f.Send("POST", "/v1/verify", admin, fmt.Sprintf(`{"key":%q,"client_ip":%q}`, key, ip))
	}
	unknown := func() string { return keys.NewToken(keys.KindKey).Secret().Reveal() }
	verify(adminKey, known, "203.0.113.9")
	var last servertest.Answer
	for i := 0; i < 10_000 && last.Status != http.StatusTooManyRequests; i++ {
		last = verify(adminKey, unknown(), "198.51.100.7")
	}
	var p api.Problem
	last.Read(t, &p)
	wait, err := strconv.Atoi(last.Header.Get("Retry-After"))
	if last.Status != http.StatusTooManyRequests || p.Code != "rate_limited" || err != nil || wait < 1 || last.Header.Get("RateLimit-Policy") != "" {
		t.Fatalf("guessing: got %d %s, Retry-After %q, want 429 at last", last.Status, last.Body, last.Header.Get("Retry-After"))
	}
	// Refused requests are not counted, but the allowance refills with time: so ask until
	// refused.
	refused := func(admin, ip string) bool {
		for range 20 {
			if verify(admin, unknown(), ip).Status == http.StatusTooManyRequests {
				return true
			}
		}
		return false
	}
	if !refused(adminKey, "::ffff:198.51.100.7") {
		t.Error("the mapped twin of the address: not refused")
	}
	if refused(adminKey, "198.51.100.8") || refused(other, "198.51.100.7") {
		t.Error("another client, or another caller's client of that address: refused")
	}
	for _, ip := range []string{"198.51.100.7", "203.0.113.9"} {
		if a := verify(adminKey, known, ip); a.Status != http.StatusOK {
			t.Errorf("a known key from %s: got %d, want 200", ip, a.Status)
		}
	}
}
