package keys_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)

func TestParseExpiry(t *testing.T) {
	day := 24 * time.Hour
	for text, want := range map[string]time.Time{
		"":                             noon.Add(90 * day),
		"90d":                          noon.Add(90 * day),
		"12w":                          noon.Add(84 * day),
		"36h":                          noon.Add(36 * time.Hour),
		"1y":                           noon.Add(365 * day),
		"30m":                          noon.Add(30 * time.Minute),
		"45s":                          noon.Add(45 * time.Second),
		"never":                        {},
		"2027-01-31":                   time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC),
		"2027-01-31T10:00:00+02:00":    time.Date(2027, 1, 31, 8, 0, 0, 0, time.UTC),
		"2028-02-29":                   time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC),
		"2027-01-31T10:00:00.1234567Z": time.Date(2027, 1, 31, 10, 0, 0, 123456000, time.UTC),
	} {
		e, err := keys.ParseExpiry(text)
		if err != nil {
			t.Errorf("ParseExpiry(%q): %v", text, err)
			continue
		}
		got, err := e.At(noon)
		if err != nil || !got.Equal(want) || (!got.IsZero() && got.Location() != time.UTC) {
			t.Errorf("ParseExpiry(%q).At: got %v, %v, want %v", text, got, err, want)
		}
	}
}

// TestA24ExpiryInputs: a key made to end in the past, at the end of time or at an
// overflow must be refused, not wrap round to a key that never expires.
func TestA24ExpiryInputs(t *testing.T) {
	for _, text := range []string{
		"2020-01-01", "2026-11-22", "2026-11-22T12:00:00.123456Z", "0001-01-01", "0001-01-01T00:00:00Z", "2026-11-22T12:00:00Z", "9999-12-31T23:59:59Z",
		"0d", "0s", "-1d", "+1d", "1.5d", "1 d", "d", "90", "90D", "90 days", "1d12h", "tomorrow", "Never", " 90d",
		"9223372036854775807s", "106752d", "293y", "99999999999999999999d", "2027-02-29", "2027-13-01", "31.01.2027",
		strings.Repeat("9", 400) + "d",
	} {
		e, err := keys.ParseExpiry(text)
		if err == nil {
			_, err = e.At(noon)
		}
		if err == nil {
			t.Errorf("ParseExpiry(%q): accepted", text)
		} else if len(text) > 2 && strings.Contains(err.Error(), text) && text != "90d" {
			t.Errorf("ParseExpiry(%q): the error repeats the value: %v", text, err)
		}
	}
	for _, now := range []time.Time{time.UnixMicro(math.MaxInt64), time.Date(9999, 12, 1, 0, 0, 0, 0, time.UTC)} {
		if at, err := (keys.Expiry{}).At(now); err == nil {
			t.Errorf("Expiry.At(%v): got %v, want an error", now, at)
		}
	}
}

// TestA24ExpiryBoundary: expiry follows the wall clock exactly, to the microsecond,
// also when the clock is stepped back and forth.
func TestA24ExpiryBoundary(t *testing.T) {
	k := &keys.Key{Kind: keys.KindKey, ExpiresAt: noon}
	grace := &keys.KeySecret{ExpiresAt: noon.Add(-time.Hour)}
	for _, row := range []struct {
		now  time.Time
		want keys.Code
	}{
		{noon.Add(-time.Microsecond), keys.CodeValid},
		{noon, keys.CodeExpired},
		{noon.Add(time.Hour), keys.CodeExpired},
		{noon.Add(-time.Hour), keys.CodeValid},
		{time.Unix(0, 0), keys.CodeValid},
		{time.UnixMicro(math.MaxInt64), keys.CodeExpired},
	} {
		if got := k.Admit(&keys.KeySecret{}, row.now, keys.Demand{}); got != row.want {
			t.Errorf("Admit at %v: got %v, want %v", row.now, got, row.want)
		}
	}
	if got := k.Admit(grace, noon.Add(-time.Hour), keys.Demand{}); got != keys.CodeExpired {
		t.Errorf("Admit at the end of the grace: got %v, want expired", got)
	}
	if got := k.Admit(grace, noon.Add(-time.Hour-time.Microsecond), keys.Demand{}); got != keys.CodeValid {
		t.Errorf("Admit within the grace: got %v, want valid", got)
	}
}

func TestStatus(t *testing.T) {
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	for _, row := range []struct {
		key  keys.Key
		want keys.Status
	}{
		{keys.Key{}, keys.StatusActive},
		{keys.Key{ExpiresAt: at(keys.ExpiringWithin)}, keys.StatusActive},
		{keys.Key{ExpiresAt: at(keys.ExpiringWithin - 1)}, keys.StatusExpiring},
		{keys.Key{ExpiresAt: at(1)}, keys.StatusExpiring},
		{keys.Key{ExpiresAt: at(0)}, keys.StatusExpired},
		{keys.Key{ExpiresAt: at(-1)}, keys.StatusExpired},
		{keys.Key{ExpiresAt: at(-1), DisabledAt: at(-2)}, keys.StatusDisabled},
		{keys.Key{ExpiresAt: at(-1), DisabledAt: at(-2), RevokedAt: at(-3)}, keys.StatusRevoked},
	} {
		if got := row.key.Status(noon); got != row.want {
			t.Errorf("Status of %+v: got %v, want %v", row.key, got, row.want)
		}
		if _, err := keys.ParseStatus(string(row.want)); err != nil {
			t.Errorf("ParseStatus(%q): %v", row.want, err)
		}
	}
	if _, err := keys.ParseStatus("Active"); err == nil {
		t.Error("ParseStatus(Active): accepted")
	}
}

func TestRateLimit(t *testing.T) {
	for text, want := range map[string]keys.RateLimit{
		"60/m":       {Count: 60, Window: time.Minute, Burst: 60},
		"100/10s":    {Count: 100, Window: 10 * time.Second, Burst: 100},
		"1000/h:50":  {Count: 1000, Window: time.Hour, Burst: 50},
		"1/d":        {Count: 1, Window: 24 * time.Hour, Burst: 1},
		"1000000/1s": {Count: 1000000, Window: time.Second, Burst: 1000000},
	} {
		got, err := keys.ParseRateLimit(text)
		if err != nil || got != want {
			t.Errorf("ParseRateLimit(%q): got %+v, %v, want %+v", text, got, err, want)
		}
		if again, err := keys.ParseRateLimit(got.String()); err != nil || again != got {
			t.Errorf("ParseRateLimit(%q): renders as %q", text, got.String())
		}
	}
	for _, text := range []string{"", "60", "60/", "/m", "0/m", "-1/m", "60/0s", "60/2d", "60/m:0", "60/m:61", "60/m:", "60/x", "100000001/s", "6e1/m", "60/m/s", "99999999999999999999/m", "60/mm"} {
		if got, err := keys.ParseRateLimit(text); err == nil {
			t.Errorf("ParseRateLimit(%q): got %+v, want an error", text, got)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"90d", "1y", "0s", "9223372036854775807s", "x", "-1d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := keys.ParseDuration(text)
		if err != nil {
			return
		}
		if d < 0 {
			t.Fatalf("ParseDuration(%q): got %v, below zero", text, d)
		}
		if again, err := keys.ParseDuration(keys.FormatDuration(d)); d > 0 && (err != nil || again != d) {
			t.Fatalf("ParseDuration(%q): %v renders as %q", text, d, keys.FormatDuration(d))
		}
	})
}

// ParseExpiry reads back what String writes, because that is sent to servers.
func TestExpiryString(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, text := range []string{"", "never", "90d", "36h", "12w", "1y", "45s", "90m", "2027-01-31", "2027-01-31T01:02:03.456789+02:00"} {
		e, err := keys.ParseExpiry(text)
		if err != nil {
			t.Fatalf("ParseExpiry(%q): %v", text, err)
		}
		again, err := keys.ParseExpiry(e.String())
		if err != nil {
			t.Fatalf("ParseExpiry(%q), which is what %q says of itself: %v", e, text, err)
		}
		want, _ := e.At(now)
		got, _ := again.At(now)
		if !got.Equal(want) || again.IsDefault() != e.IsDefault() {
			t.Errorf("%q by way of %q: got %v, want %v", text, e, got, want)
		}
	}
}
