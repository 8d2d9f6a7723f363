package keys_test

import (
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/keys"
)

// The second limit is ten times the first, at least 60 a minute, with a burst of at least
// 60, because a client's handshake is several requests in a row.
func TestRequestsAreLimitedTenTimesAsWide(t *testing.T) {
	for rate, want := range map[string]keys.RateLimit{
		"5/m":         {Count: 60, Window: time.Minute, Burst: 60},
		"6/m":         {Count: 60, Window: time.Minute, Burst: 60},
		"7/m":         {Count: 70, Window: time.Minute, Burst: 70},
		"1/d":         {Count: 60, Window: time.Minute, Burst: 60},
		"1000/h:50":   {Count: 10_000, Window: time.Hour, Burst: 500},
		"1000/h:1":    {Count: 10_000, Window: time.Hour, Burst: 60},
		"5/10s":       {Count: 100, Window: 20 * time.Second, Burst: 60},
		"1/s":         {Count: 60, Window: 6 * time.Second, Burst: 60},
		"16000000/d":  {Count: 160_000_000, Window: 24 * time.Hour, Burst: 160_000_000}, // times 10 times a day is past 63 bits
		"20000000/d":  {Count: 200_000_000, Window: 24 * time.Hour, Burst: 200_000_000},
		"50000000/d":  {Count: 500_000_000, Window: 24 * time.Hour, Burst: 500_000_000},
		"100000000/s": {Count: 1_000_000_000, Window: time.Second, Burst: 1_000_000_000},
		"100000000/d": {Count: 1_000_000_000, Window: 24 * time.Hour, Burst: 1_000_000_000},
	} {
		l, err := keys.ParseRateLimit(rate)
		if err != nil {
			t.Fatalf("ParseRateLimit(%s): %v", rate, err)
		}
		if got := l.Requests(); got != want {
			t.Errorf("%s: got %+v, want %+v", rate, got, want)
		}
	}
	for count := 1; count <= 100_000_000; count = count*3/2 + 1 {
		l := keys.RateLimit{Count: count, Window: 24 * time.Hour, Burst: 1}
		if got := l.Requests(); !l.Within(got) {
			t.Errorf("%d a day: got %+v, which lets fewer through than the first limit", count, got)
		}
	}
	if got := (keys.RateLimit{}).Requests(); !got.IsZero() {
		t.Errorf("no limit: got %+v, want none", got)
	}
}
